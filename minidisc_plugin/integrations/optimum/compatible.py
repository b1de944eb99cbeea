"""`INCTrainer` on transformers 4.45 to 4.57: what its copy of an older training loop no longer finds in Trainer."""

from __future__ import annotations

import inspect
from typing import Any

from optimum.intel import INCTrainer
from transformers import Trainer


class _No(str):
    """Equal to "no", as Trainer asks from 4.56 on, and false, as INCTrainer's loop does."""

    def __bool__(self) -> bool:
        return False


class CompatibleINCTrainer(INCTrainer):  # type: ignore[misc]
    """`INCTrainer` of Optimum Intel 1.27, able to train and to save on every release that it may be installed with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Read by Trainer.training_step from 4.55 on, and set by Trainer's own loop only.
        self.current_gradient_accumulation_steps = self.args.gradient_accumulation_steps
        # The loop would count tokens by gathering batches, which fails where processes pad to different lengths.
        if self.args.include_num_input_tokens_seen == "no":
            self.args.include_num_input_tokens_seen = _No("no")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """As `Trainer`, and the state of mixed precision's scaler, which newer releases load in their own loop."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if hasattr(Trainer, "_load_scaler"):
            self._load_scaler(checkpoint)

    def _save_checkpoint(self, model: Any, trial: Any, metrics: dict[str, float] | None = None) -> None:
        """As `Trainer`; from 4.47 on the best checkpoint is determined apart, and metrics are not passed."""
        if "metrics" in inspect.signature(Trainer._save_checkpoint).parameters:
            super()._save_checkpoint(model, trial, metrics=metrics)
            return
        if metrics is not None and self.args.metric_for_best_model is not None:
            self._determine_best_metric(metrics=metrics, trial=trial)
        super()._save_checkpoint(model, trial)
