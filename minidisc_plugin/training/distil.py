"""Distillation of one model from a frozen teacher, as a `transformers.Trainer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minidisc_plugin.training.dependable import DependableTraining
from minidisc_plugin.training.evaluation import TaskTrainer
from minidisc_plugin.training.sharding import prepare_sharding

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.training.objectives import Objective


class DistillationTrainer(DependableTraining, TaskTrainer):
    """Trains `model` to follow `teacher`; everything else is `transformers.Trainer`.

    Args:
        *args: As `Trainer`.
        teacher: The frozen model to follow; put in evaluation mode on the training device.
        objective: The loss of the student against the teacher.
        **kwargs: As `Trainer`.

    Raises:
        NonFiniteLossError: see DependableTraining.
    """

    def __init__(
        self,
        *args: Any,
        teacher: PreTrainedModel,
        objective: Objective,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # Objectives average over the batch themselves, so Trainer divides by the accumulation steps.
        self.model_accepts_loss_kwargs = False
        if self.args.gradient_checkpointing and self.args.gradient_checkpointing_kwargs is None:
            # transformers 4 would take the reentrant kind, which loses gradients behind frozen embeddings.
            self.args.gradient_checkpointing_kwargs = {"use_reentrant": False}
        self.teacher = teacher.to(self.args.device).eval()
        self.objective = objective

    def create_accelerator_and_postprocess(self) -> None:
        """As Trainer; see prepare_sharding."""
        super().create_accelerator_and_postprocess()
        prepare_sharding(self)

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective while training, the model's own loss in evaluation."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs=return_outputs)
        batch = dict(inputs)
        features = {**self.task.inputs(batch, self.teacher), **self.task.options}
        teacher = self.teacher_outputs(features)
        student = model(**features, output_hidden_states=self.objective.needs_hidden_states)
        loss = self.objective(*self.task.compared(student, teacher, batch))
        return (loss, student) if return_outputs else loss

    def teacher_outputs(self, features: dict[str, Tensor]) -> Any:
        """The frozen teacher's outputs for a batch."""
        with torch.no_grad():
            return self.teacher(**features, output_hidden_states=self.objective.needs_hidden_states)
