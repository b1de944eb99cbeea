"""Distillation of one model from a frozen teacher, as a `transformers.Trainer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minidisc_plugin.training.dependable import DependableTraining
from minidisc_plugin.training.evaluation import TaskTrainer
from minidisc_plugin.training.guides import mean_of_guides
from minidisc_plugin.training.sharding import prepare_sharding
from minidisc_plugin.training.teacher_cache import ROW, TeacherCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.objective import Objective


class DistillationTrainer(DependableTraining, TaskTrainer):
    """Trains `model` to follow `teacher`; everything else is `transformers.Trainer`.

    Args:
        *args: As `Trainer`.
        teacher: The frozen model to follow; put in evaluation mode on the training device.
        objective: The loss of the student against the teacher.
        cache: The teacher's outputs for the training set, read in place of running it.
        beside: A frozen assistant that is followed beside the teacher; see guides.
        beside_cache: The assistant's outputs, likewise; logits are enough.
        tokens_per_batch: See GlobalBatches.
        **kwargs: As `Trainer`.

    Raises:
        NonFiniteLossError: see DependableTraining.
    """

    data_collator: Any

    def __init__(
        self,
        *args: Any,
        teacher: PreTrainedModel,
        objective: Objective,
        cache: TeacherCache | None = None,
        beside: PreTrainedModel | None = None,
        beside_cache: TeacherCache | None = None,
        tokens_per_batch: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cache = cache
        self.tokens_per_batch = tokens_per_batch
        if cache is not None or beside_cache is not None:
            self.train_dataset = self.train_dataset.add_column(ROW, list(range(len(self.train_dataset))))
            self.data_collator = WithRows(self.data_collator)
        # Objectives average over the batch themselves, so Trainer divides by the accumulation steps.
        self.model_accepts_loss_kwargs = False
        if self.args.gradient_checkpointing and self.args.gradient_checkpointing_kwargs is None:
            # transformers 4 would take the reentrant kind, which loses gradients behind frozen embeddings.
            self.args.gradient_checkpointing_kwargs = {"use_reentrant": False}
        self.teacher = self._frozen(teacher, cache)
        self.beside = None if beside is None else self._frozen(beside, beside_cache)
        self.beside_cache = beside_cache
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
        features = {**self._features(inputs), **self.task.options}
        teacher = self.teacher_outputs(inputs)
        student = model(**features, output_hidden_states=self.objective.needs_hidden_states)
        batch = {name: value for name, value in inputs.items() if name != ROW}
        terms, target, asked = self.task.compared(student, teacher, batch)
        if self.beside is not None:
            assistant = self._outputs_of(self.beside, self.beside_cache, inputs, states=False)
            _, nearer, _ = self.task.compared(student, assistant, batch)
            mask = asked.get("logits_mask")
            target = mean_of_guides(target, nearer, regression=self.objective.regression, mask=mask)
        loss = self.objective(terms, target, asked)
        return (loss, student) if return_outputs else loss

    def teacher_outputs(self, inputs: dict[str, Tensor]) -> Any:
        """The frozen teacher's outputs for a batch."""
        return self._outputs_of(self.teacher, self.cache, inputs, states=self.objective.needs_hidden_states)

    def _outputs_of(
        self, frozen: PreTrainedModel, cache: TeacherCache | None, inputs: dict[str, Tensor], *, states: bool
    ) -> Any:
        if cache is not None:
            return cache.read(inputs[ROW].tolist(), inputs["attention_mask"])
        features = {**self._features(inputs), **self.task.options}
        with torch.no_grad():
            return frozen(**features, output_hidden_states=states)

    def _frozen(self, model: PreTrainedModel, cache: TeacherCache | None) -> PreTrainedModel:
        """A model that is read from a cache has no business on an accelerator."""
        return model.to("cpu" if cache is not None else self.args.device).eval()

    def _features(self, inputs: dict[str, Tensor]) -> dict[str, Any]:
        return {name: value for name, value in self.task.inputs(inputs, self.teacher).items() if name != ROW}

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if ROW not in self._signature_columns:
            self._signature_columns.append(ROW)


class WithRows:
    """A collator that leaves the column of the cache's rows to nobody else.

    Args:
        collator: Makes a batch of all other columns.
    """

    def __init__(self, collator: Callable[[list[Any]], Any]) -> None:
        self.collator = collator

    def __call__(self, examples: list[Any]) -> dict[str, Any]:
        """As `collator`; rows are added where examples have them."""
        rows = [example[ROW] for example in examples if ROW in example]
        batch = dict(self.collator([{k: v for k, v in example.items() if k != ROW} for example in examples]))
        return batch | ({ROW: torch.tensor(rows)} if rows else {})
