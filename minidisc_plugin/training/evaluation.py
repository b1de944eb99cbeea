"""A `transformers.Trainer` whose model is given what its task says."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import Trainer

from minidisc_plugin.tasks import Task, task_of_model


class TaskTrainer(Trainer):  # type: ignore[misc]
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
