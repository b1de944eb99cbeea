"""Distillation of one model from a frozen teacher, as a `transformers.Trainer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler

from minidisc_plugin.errors import NonFiniteLossError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.training.objectives import Objective


class RepeatableLengthGroups(LengthGroupedSampler):  # type: ignore[misc]
    """Batches of similar length in an order that depends on seed and epoch alone, so a resumed run repeats it.

    Transformers' own draws from the process's generator, whose state at the start of an epoch no checkpoint holds.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths, generator=torch.Generator())
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Start the order of an epoch; the data loader calls it."""
        self.generator.manual_seed(self.seed * 1_000_003 + epoch)


class DistillationTrainer(Trainer):  # type: ignore[misc]
    """Trains `model` to follow `teacher`; everything else is `transformers.Trainer`.

    Args:
        *args: As `Trainer`.
        teacher: The frozen model to follow; put in evaluation mode on the training device.
        objective: The loss of the student against the teacher.
        label: What is trained, for messages: "student", or a scale.
        **kwargs: As `Trainer`.

    Raises:
        NonFiniteLossError: while training, when the loss is NaN or infinite; before the weights are touched.
    """

    def __init__(
        self,
        *args: Any,
        teacher: PreTrainedModel,
        objective: Objective,
        label: str = "student",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # Objectives average over the batch themselves, so Trainer divides by the accumulation steps.
        self.model_accepts_loss_kwargs = False
        self.teacher = teacher.to(self.args.device).eval()
        self.objective = objective
        self.label = label

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective while training, the model's own loss in evaluation."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs=return_outputs)
        batch = dict(inputs)
        features = {name: value for name, value in batch.items() if name not in ("labels", "length")}
        teacher = self.teacher_outputs(features)
        student = model(**features, output_hidden_states=self.objective.needs_hidden_states)
        loss = self.objective(student, teacher, batch)
        return (loss, student) if return_outputs else loss

    def teacher_outputs(self, features: dict[str, Tensor]) -> Any:
        """The frozen teacher's outputs for a batch."""
        with torch.no_grad():
            return self.teacher(**features, output_hidden_states=self.objective.needs_hidden_states)

    def training_step(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """One step; stops the run when the loss is not finite."""
        loss: Tensor = super().training_step(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            self.fail(self.label, loss)
        return loss

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        sampler = super()._get_train_sampler(*args, **kwargs)
        if type(sampler) is not LengthGroupedSampler:
            return sampler
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return RepeatableLengthGroups(sampler.batch_size, sampler.lengths, seed)

    def fail(self, label: str, loss: Tensor) -> None:
        """Raise for a loss that is not finite."""
        raise NonFiniteLossError(
            f"step {self.state.global_step + 1}: the loss of {label} is {loss.item()}; "
            f"the last good checkpoint stays in {self.args.output_dir}; lower training.learning_rate and start again"
        )
