"""What a stage needs in order to go on where it was stopped, whatever a script's arguments say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import TrainingArguments


def make_resumable(args: TrainingArguments) -> None:
    """Have a stage save all that it needs to go on, whatever a script's arguments say for its own training."""
    args.save_only_model = False
    args.ignore_data_skip = False
    args.save_total_limit = None  # rotation is the affair of who seals the checkpoints
    if args.save_strategy == "best":
        args.save_strategy = type(args.save_strategy)(getattr(args.eval_strategy, "value", args.eval_strategy))
