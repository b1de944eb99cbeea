"""When a stage saves, and what it keeps: checkpoints are sealed once they are written, and rotated after that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from minidisc_plugin.foundation.processes import is_writer, wait_for_all
from minidisc_plugin.training.checkpoints import Checkpoint, rotate


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]
    """Makes every checkpoint of a stage one that the stage can go on from, as if it had not been stopped.

    Trainer itself is not to rotate: it would before the new checkpoint is whole.

    Args:
        limit: How many checkpoints to keep; see rotate.
        resumed: The checkpoint that the stage goes on from, if any.
    """

    def __init__(self, limit: int | None, resumed: Checkpoint | None = None) -> None:
        self.limit = limit
        self.resumed = resumed
        self._saves = self._evaluates = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Find the best weights where they are now: the folder may have been moved since."""
        if self.resumed is not None:
            best = self.resumed.best
            state.best_model_checkpoint = str(best.folder) if best and best.folder.is_dir() else None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """With the last step of an epoch, leave saving to the epoch's end: what happens there belongs to it."""
        if float(state.epoch).is_integer():
            self._evaluates, self._saves = control.should_evaluate, control.should_save
            control.should_evaluate = control.should_save = False
        self._save_what_is_evaluated(args, control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Do what was left."""
        control.should_evaluate |= self._evaluates
        control.should_save |= self._saves
        self._evaluates = self._saves = False
        self._save_what_is_evaluated(args, control)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seal what every process has written, then remove what is too much."""
        wait_for_all()
        if is_writer():
            folder = Path(str(args.output_dir))
            Checkpoint(folder / f"checkpoint-{state.global_step}").seal()
            rotate(folder, self.limit, state.best_model_checkpoint if args.load_best_model_at_end else None)

    def _save_what_is_evaluated(self, args: Any, control: Any) -> None:
        """The best weights are kept only where they are saved when they are evaluated."""
        if args.load_best_model_at_end and control.should_evaluate:
            control.should_save = True
