"""`transformers.TrainingArguments` from the section `training`, on every supported release."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError, PluginFailedError
from minidisc_plugin.foundation.names import inside
from minidisc_plugin.foundation.printable import one_line, shortened, shown
from minidisc_plugin.foundation.processes import check_alone, check_joined, process_count
from minidisc_plugin.foundation.redaction import MASK, names_secret
from minidisc_plugin.training.keys import check_training
from minidisc_plugin.training.sharding import with_sharding

if TYPE_CHECKING:
    from transformers import TrainingArguments

# The published protocol where it says something (section 4.1), and what a long run needs otherwise.
DEFAULTS: Mapping[str, Any] = {
    "weight_decay": 0.01,
    "max_grad_norm": 5.0,
    "warmup_ratio": 0.1,
    "group_by_length": True,
    "per_device_eval_batch_size": 64,
    "logging_steps": 50,
    "optim": "adamw_torch_fused",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "report_to": "none",
}
# Names of transformers 5, and what transformers 4 calls them.
_RENAMED = {"warmup_steps": "warmup_ratio", "train_sampling_strategy": "group_by_length"}
_LONGEST_REASON = 300
_CPU_BY_LAUNCHER = "ACCELERATE_USE_CPU"

Result = TypeVar("Result")


def training_arguments(
    settings: Mapping[str, Any], output_dir: Path, patience: int | None = None, metric: str = ""
) -> TrainingArguments:
    """Arguments of every stage; `for_stage` gives each its own folder.

    Args:
        settings: The section `training`; may name settings as either release of transformers does.
        output_dir: Root of the checkpoints.
        patience: Evaluations without improvement before a stage stops, one an epoch unless `eval_strategy` says
            otherwise; None trains to the end.
        metric: The metric that early stopping follows.

    Raises:
        ConfigError: a key that TrainingArguments does not have, one that the pipeline sets, or a bad value; or
            processes that were not started as we and accelerate both understand.
    """
    check_training(settings)
    check_alone(on_cpu=bool(settings.get("use_cpu")) or os.environ.get(_CPU_BY_LAUNCHER, "").lower() == "true")

    def make(chosen: Mapping[str, Any]) -> TrainingArguments:
        return _arguments(chosen, output_dir, patience, metric)

    args = attempted(make, settings)
    check_joined(args.process_index, args.world_size)
    if args.fp16 and args.device.type == "cpu":
        raise ConfigError("training.fp16: does nothing on a CPU; remove it, or set bf16 and use_cpu")
    return args


def attempted(make: Callable[[Mapping[str, Any]], Result], settings: Mapping[str, Any]) -> Result:
    """What `make` makes of the section `training`.

    Args:
        make: Tries settings; may be tried again without some of them.
        settings: The section.

    Raises:
        ConfigError: it fails; names the key without which it would not, where there is one.
    """
    try:
        return make(settings)
    except MinidiscError:
        raise
    except Exception as error:  # libraries raise many kinds; each means the same to the user
        reason = _reason(error)
        key = _culprit(make, settings, reason)
        if key is None:
            raise ConfigError(f"training: {reason}") from error
        value = MASK if names_secret(key) else shown(settings[key])
        raise ConfigError(f"training.{key}: {value} cannot be used: {reason}") from error


def _culprit(make: Callable[[Mapping[str, Any]], Any], settings: Mapping[str, Any], reason: str) -> str | None:
    """The key without which `make` works, or fails for another reason; of several the one that the reason names."""
    if process_count() > 1:
        return None  # others would wait where this process tries again
    named = set(re.findall(r"\w+", reason))
    other_reason: str | None = None
    for key in sorted(list(settings)[::-1], key=lambda key: key not in named):
        try:
            make({other: value for other, value in settings.items() if other != key})
        except Exception as error:
            other_reason = other_reason or (key if _reason(error) != reason else None)
        else:
            return key
    return other_reason


def _reason(error: Exception) -> str:
    return shortened(one_line(str(error)) or type(error).__name__, _LONGEST_REASON)


def _arguments(settings: Mapping[str, Any], output_dir: Path, patience: int | None, metric: str) -> TrainingArguments:
    import torch
    from transformers import TrainingArguments

    known = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    values = with_sharding(_translate(with_defaults(settings), known))
    if patience is not None:
        values.setdefault("eval_strategy", "epoch")
        # The best model can only be kept where it is saved when it is evaluated.
        if settings.get("save_strategy") in (None, False, "no"):
            values["save_strategy"] = values["eval_strategy"]
        values.update(load_best_model_at_end=True, metric_for_best_model=metric, greater_is_better=True)
    if not torch.cuda.is_available():
        values.setdefault("dataloader_pin_memory", False)  # pinning is for accelerators; without one it warns
    return TrainingArguments(output_dir=str(output_dir), **values)


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, and the defaults that they do not speak about under either release's name."""
    silent = {old for new, old in _RENAMED.items() if new in settings}
    return {key: value for key, value in DEFAULTS.items() if key not in silent} | dict(settings)


def for_stage(args: TrainingArguments, stage: str, evaluated: Any = None) -> TrainingArguments:
    """The same arguments with checkpoints in a folder of the stage's own.

    Args:
        args: Of every stage.
        stage: Its name.
        evaluated: What it evaluates; no batch of an evaluation is larger than a dataset whose size is known.

    Raises:
        PluginFailedError: the stage's name leads elsewhere; ours do not.
    """
    from datasets import Dataset

    own = copy.copy(args)
    own.output_dir = str(inside(Path(str(args.output_dir)), stage, "stage", PluginFailedError))
    if isinstance(evaluated, Dataset):  # Trainer repeats each batch's loss as often as a batch may have examples
        own.per_device_eval_batch_size = min(args.per_device_eval_batch_size, max(1, len(evaluated)))
    for name in filter(names_secret, vars(own)):
        setattr(own, name, None)  # checkpoints hold the arguments, and nothing is pushed anywhere
    return own


def evaluates(args: TrainingArguments) -> bool:
    """Whether training stops now and then to evaluate."""
    return bool(getattr(args.eval_strategy, "value", args.eval_strategy) != "no")


def tokenizer_argument() -> str:
    """Name of Trainer's argument, and attribute, for the tokenizer: `processing_class` from transformers 4.46 on."""
    from transformers import Trainer

    return "processing_class" if "processing_class" in inspect.signature(Trainer.__init__).parameters else "tokenizer"


def _translate(values: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Settings that transformers 5 renamed, to the names of the installed release."""
    for key in ("save_strategy", "eval_strategy", "logging_strategy"):
        if values.get(key) is False:  # what YAML makes of `no`
            values[key] = "no"
    for end in ("checkpointing", "checkpointing_kwargs"):
        present, other = f"activation_{end}", f"gradient_{end}"
        if present not in known:
            present, other = other, present
        if other in values:
            values.setdefault(present, values.pop(other))
    if "train_sampling_strategy" in known and "group_by_length" in values:
        grouped = values.pop("group_by_length")
        values.setdefault("train_sampling_strategy", "group_by_length" if grouped else "random")
    elif "train_sampling_strategy" not in known and "train_sampling_strategy" in values:
        values["group_by_length"] = values.pop("train_sampling_strategy") == "group_by_length"
    if "warmup_ratio" in values and "warmup_ratio" not in known:
        ratio = values.pop("warmup_ratio")
        values.setdefault("warmup_steps", ratio)
    elif "warmup_ratio" in known and "warmup_steps" in values:
        steps = values.pop("warmup_steps")
        values |= {"warmup_ratio": steps} if 0 < steps < 1 else {"warmup_steps": int(steps)}
    return values
