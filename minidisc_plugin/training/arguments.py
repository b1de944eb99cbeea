"""`transformers.TrainingArguments` from the section `training`, on every supported release."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.config_file import unknown_key
from minidisc_plugin.errors import ConfigError, PluginFailedError
from minidisc_plugin.names import inside
from minidisc_plugin.redaction import names_secret
from minidisc_plugin.training.resumable import refuse_what_cannot_resume
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
_ABOVE_ZERO = (
    "num_train_epochs",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
)
_OURS = ("output_dir", "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "remove_unused_columns")


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
        ConfigError: a key that TrainingArguments does not have, one that the pipeline sets, or a bad value.
    """
    import torch
    from transformers import TrainingArguments

    fields = {field.name: field for field in dataclasses.fields(TrainingArguments) if field.init}
    known = set(fields)
    for key in settings:
        if key in _OURS:
            raise ConfigError(f"training.{key}: the pipeline sets it; remove it")
    _check_numbers(settings, {key: field.type for key, field in fields.items()})
    values = with_sharding(_translate(with_defaults(settings), known))
    refuse_what_cannot_resume(values)
    for key in values:
        if key not in known:
            raise ConfigError(unknown_key(f"training.{key}", sorted(known.union(*_RENAMED.items()))))
    if patience is not None:
        values.setdefault("eval_strategy", "epoch")
        # The best model can only be kept where it is saved when it is evaluated.
        if settings.get("save_strategy") in (None, False, "no"):
            values["save_strategy"] = values["eval_strategy"]
        values.update(load_best_model_at_end=True, metric_for_best_model=metric, greater_is_better=True)
    if not torch.cuda.is_available():
        values.setdefault("dataloader_pin_memory", False)  # pinning is for accelerators; without one it warns
    try:
        return TrainingArguments(output_dir=str(output_dir), **values)
    except (TypeError, ValueError, ImportError) as error:
        raise ConfigError(f"training: {' '.join(str(error).split())}") from error


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, and the defaults that they do not speak about under either release's name."""
    silent = {old for new, old in _RENAMED.items() if new in settings}
    return {key: value for key, value in DEFAULTS.items() if key not in silent} | dict(settings)


def _check_numbers(settings: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Refuse numbers that TrainingArguments takes as they come, and that would fail once training begins."""
    types = {**types, "warmup_steps": float, "warmup_ratio": float}  # a share of all steps, or their number
    for key, value in settings.items():
        kind = _number_type(types.get(key))
        if kind is None:
            continue
        wanted = None
        if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
            wanted = "a whole number" if kind is int else "a number"
        elif not math.isfinite(value):
            wanted = "a finite number"
        elif key in _ABOVE_ZERO and value <= 0:
            wanted = "a number above 0"
        elif key == "seed" and not 0 <= value < 2**32:
            wanted = "a seed from 0 to 2**32 - 1"
        if wanted:
            raise ConfigError(f"training.{key}: {value!r} cannot be used: give {wanted}")


def _number_type(annotation: Any) -> type | None:
    """int or float where a field must be one; releases spell it as the type or as its name."""
    return {int: int, float: float, "int": int, "float": float}.get(annotation)


def for_stage(args: TrainingArguments, stage: str) -> TrainingArguments:
    """The same arguments with checkpoints in a folder of the stage's own.

    Raises:
        PluginFailedError: the stage's name leads elsewhere; ours do not.
    """
    own = copy.copy(args)
    own.output_dir = str(inside(Path(str(args.output_dir)), stage, "stage", PluginFailedError))
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
    elif "warmup_ratio" in known and _is_fraction(values.get("warmup_steps")):
        values["warmup_ratio"] = values.pop("warmup_steps")
    return values


def _is_fraction(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1
