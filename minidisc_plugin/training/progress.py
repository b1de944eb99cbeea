"""One progress bar per training stage, with its name and the latest loss."""

from __future__ import annotations

from typing import Any

from transformers import Trainer
from transformers.trainer_callback import ProgressCallback


class StageProgress(ProgressCallback):  # type: ignore[misc]
    """Transformers' progress bar, named after the stage; logs go beside the bar and not above it."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name the bar."""
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None:
            self.training_bar.set_description(self.stage)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Show the latest loss."""
        if self.training_bar is not None and logs and "loss" in logs:
            self.training_bar.set_postfix_str(f"loss {float(logs['loss']):.4g}")


def show_progress(trainer: Trainer, stage: str) -> None:
    """Replace the trainer's bar by one that is named after the stage, unless bars are off."""
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(StageProgress(stage))
