"""Training settings with which a run that was stopped could not end as one that was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidisc_plugin.errors import ConfigError

if TYPE_CHECKING:
    from transformers import TrainingArguments

# Key, the value that is refused, and what to do about it.
_REFUSED: tuple[tuple[str, Any, str], ...] = (
    (
        "save_only_model",
        True,
        "a stage cannot go on without the optimizer's state; remove it, or set save_strategy: 'no'",
    ),
    ("ignore_data_skip", True, "a resumed stage would train the same examples twice; remove it"),
    (
        "save_strategy",
        "best",
        "a stage keeps its best weights by itself, with early_stopping_patience; set epoch or steps",
    ),
    (
        "auto_find_batch_size",
        True,
        "it begins again with weights that are trained in part; set per_device_train_batch_size",
    ),
    ("enable_jit_checkpoint", True, "a stage that it stops would be taken for finished; remove it"),
    ("save_safetensors", False, "checkpoints are kept as safetensors; remove it"),
)
# Optimizers that keep their state where no checkpoint holds it.
_STATE_ELSEWHERE = ("_layerwise", "lomo")


def refuse_what_cannot_resume(values: Mapping[str, Any]) -> None:
    """Refuse settings of the section `training` that no resumed run can honour.

    Raises:
        ConfigError: names the key, the value and the remedy.
    """
    for key, refused, remedy in _REFUSED:
        value = values.get(key)
        if value == refused and isinstance(value, type(refused)):
            raise ConfigError(f"training.{key}: {value!r} cannot be used: {remedy}")
    if str(values.get("optim", "")).endswith(_STATE_ELSEWHERE):
        raise ConfigError(
            f"training.optim: {values['optim']!r} cannot be used: a checkpoint does not hold its state; "
            "give another, such as adamw_torch"
        )


def make_resumable(args: TrainingArguments) -> None:
    """Have a stage save all that it needs to go on, whatever a script's arguments say for its own training."""
    args.save_only_model = False
    args.ignore_data_skip = False
    args.save_total_limit = None  # rotation is the affair of who seals the checkpoints
    if args.save_strategy == "best":
        args.save_strategy = type(args.save_strategy)(getattr(args.eval_strategy, "value", args.eval_strategy))
