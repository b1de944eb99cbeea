"""The stage before: an objective's own network learns, while student and teacher stay as they are."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from minidisc_plugin.tasks.registry import task_of_model
from minidisc_plugin.training.distil import DistillationTrainer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

    from minidisc_plugin.training.own_network import Lesson


class LessonTrainer(DistillationTrainer):
    """Trains an objective's network by `loss_before`; evaluates nothing.

    Args:
        lesson: The network.
        student: The model that the next stage trains; its weights are left as they are.
        epochs: How long.
        args: Of every stage.
        callbacks: As `Trainer`.
        **kwargs: As DistillationTrainer, without `model`.
    """

    label = "the objective"

    def __init__(
        self, lesson: Lesson, *, student: PreTrainedModel, epochs: float, args: TrainingArguments, **kwargs: Any
    ) -> None:
        self.student = student
        super().__init__(lesson, args=_without_student(args, epochs), task=task_of_model(student), **kwargs)
        student.to(self.args.device).eval()

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective's loss before a stage."""
        teacher = self.teacher_outputs(inputs)
        with torch.no_grad():
            student = self._outputs(self.student, inputs, None)
        loss = model(*self.compared(student, teacher, inputs))
        return (loss, student) if return_outputs else loss

    def _set_signature_columns_if_needed(self) -> None:
        """As Trainer, which would look at what a lesson takes."""
        if getattr(self, "_signature_columns", None) is None:
            taken = inspect.signature(self.student.forward).parameters
            self._signature_columns: list[str] = [*taken, *self.task.label_names]
        super()._set_signature_columns_if_needed()


def _without_student(args: TrainingArguments, epochs: float) -> TrainingArguments:
    """Arguments of a stage that trains no model, and so has none to evaluate."""
    own = copy.copy(args)
    own.num_train_epochs, own.max_steps = epochs, -1
    own.eval_strategy = type(args.eval_strategy)("no")
    own.load_best_model_at_end = own.eval_on_start = False
    for name in ("gradient_checkpointing", "activation_checkpointing"):
        if hasattr(own, name):
            setattr(own, name, False)
    own.neftune_noise_alpha = None
    return own
