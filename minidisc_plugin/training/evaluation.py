"""A `transformers.Trainer` whose model is given what its task says."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import Trainer

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.tasks.registry import task_of_model


class WholeEvaluation:
    """Mixed into a `transformers.Trainer`: metrics are those of every example.

    `dataloader_drop_last` is for training; Trainer leaves the last examples out of evaluations as well.
    """

    args: Any

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> Any:
        """As Trainer, the last batch included."""
        drops, self.args.dataloader_drop_last = self.args.dataloader_drop_last, False
        try:
            return super().get_eval_dataloader(*args, **kwargs)  # type: ignore[misc]
        finally:
            self.args.dataloader_drop_last = drops


class TaskTrainer(WholeEvaluation, Trainer):  # type: ignore[misc]
    """Labels that are the metric's alone never reach the model, and language models keep no cache.

    Args:
        *args: As `Trainer`.
        task: What the model does; told by its class when left out.
        **kwargs: As `Trainer`.
    """

    def __init__(self, *args: Any, task: Task | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.task = task or task_of_model(self.model)

    def compute_loss(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's own loss."""
        return super().compute_loss(model, {**self.task.labelled(inputs), **self.task.options}, *args, **kwargs)
