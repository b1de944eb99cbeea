"""Distillation of one model from a frozen teacher, as a `transformers.Trainer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minidisc_plugin.contracts.objective import DOMAIN, EXAMPLE, PROGRESS
from minidisc_plugin.training.compiling import Wanted, passes_of
from minidisc_plugin.training.dependable import DependableTraining
from minidisc_plugin.training.domain_batches import domains_of
from minidisc_plugin.training.evaluation import TaskTrainer
from minidisc_plugin.training.guides import mean_of_guides
from minidisc_plugin.training.observing import asked_beside, asking, attention_for, observed, plain_attention
from minidisc_plugin.training.own_network import share_gradients
from minidisc_plugin.training.recorded_passes import RecordedPasses
from minidisc_plugin.training.resident_outputs import ResidentOutputs
from minidisc_plugin.training.sharding import prepare_sharding
from minidisc_plugin.training.teacher_cache import ROW, TeacherCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.trainer_utils import TrainOutput

    from minidisc_plugin.contracts.objective import Objective


class DistillationTrainer(DependableTraining, TaskTrainer):
    """Trains `model` to follow `teacher`; everything else is `transformers.Trainer`.

    Args:
        *args: As `Trainer`.
        teacher: The frozen model to follow; put in evaluation mode on the training device.
        objective: The loss of the student against the teacher.
        cache: The teacher's outputs for the training set, read in place of running it.
        beside: A frozen assistant that is followed beside the teacher; see guides.
        beside_cache: The assistant's outputs, likewise; its logits are all that is read.
        tokens_per_batch: See GlobalBatches.
        compile: `engine.compile`: whether passes over batches of the full size are recorded.
        drawn: See GlobalBatches.
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
        compile: Wanted = False,
        drawn: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cache = _nearest(cache, self.args.device)
        self.compile = compile
        self.tokens_per_batch = tokens_per_batch
        self.drawn = drawn
        self.domains = domains_of(self.train_dataset) if objective.reads_domains else None
        by_place = objective.reads_examples or objective.reads_domains
        if cache is not None or beside_cache is not None or by_place:
            self.train_dataset = self.train_dataset.add_column(ROW, list(range(len(self.train_dataset))))
            self.data_collator = WithRows(self.data_collator)
        # Objectives average over the batch themselves, so Trainer divides by the accumulation steps.
        self.model_accepts_loss_kwargs = False
        if self.args.gradient_checkpointing and self.args.gradient_checkpointing_kwargs is None:
            # transformers 4 would take the reentrant kind, which loses gradients behind frozen embeddings.
            self.args.gradient_checkpointing_kwargs = {"use_reentrant": False}
        self.teacher = self._frozen(teacher, cache)
        self.beside = None if beside is None else self._frozen(beside, beside_cache)
        self.beside_cache = _nearest(beside_cache, self.args.device)
        self.objective = objective

    def create_accelerator_and_postprocess(self) -> None:
        """As Trainer; see prepare_sharding."""
        super().create_accelerator_and_postprocess()
        prepare_sharding(self)

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """As Trainer.

        Raises:
            DataError: examples have changed since the teacher's outputs were kept.
        """
        found = super().train(*args, **kwargs)
        for kept in (self.cache, self.beside_cache):
            if isinstance(kept, ResidentOutputs):
                kept.check()
        return found

    def training_step(self, model: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """As Trainer; processes share what the objective learns, too."""
        with attention_for(self.objective, model):  # activations may be computed again in the backward pass
            loss = super().training_step(model, *args, **kwargs)
        shares = self.accelerator.sync_gradients and not self.is_fsdp_enabled  # which shares all that a model has
        if self.objective.network is not None and shares:
            share_gradients(self.objective.network)
        return loss

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective while training, the model's own loss in evaluation."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs=return_outputs)
        teacher = self.teacher_outputs(inputs)
        with plain_attention() if self.objective.needs_second_derivatives else nullcontext():
            student = self._outputs(model, inputs, self.passes, self.piece)
        loss = self.objective(*self.compared(student, teacher, inputs))
        return (loss, student) if return_outputs else loss

    def compared(self, student: Any, teacher: Any, inputs: Mapping[str, Tensor]) -> tuple[Any, Any, dict[str, Tensor]]:
        """What the objective is given: both outputs, and the batch with what it asks for beside them."""
        batch = {name: value for name, value in inputs.items() if name != ROW}
        terms, target, found = self.task.compared(student, teacher, batch)
        known = {
            EXAMPLE: lambda: inputs[ROW],
            DOMAIN: lambda: self._domains[inputs[ROW]],
            PROGRESS: lambda: torch.tensor(self.state.global_step / max(self.state.max_steps, 1)),
        }
        asked = asked_beside(self.objective, found, teacher, known)
        if self.beside is not None:
            assistant = self._said_by(self.beside, self.beside_cache, inputs)
            _, nearer, _ = self.task.compared(teacher, assistant, batch)
            mask = asked.get("logits_mask")
            target = mean_of_guides(target, nearer, regression=self.objective.regression, mask=mask)
        return terms, target, asked

    @cached_property
    def _domains(self) -> Tensor:
        return torch.tensor(self.domains, device=self.args.device)

    def teacher_outputs(self, inputs: dict[str, Tensor]) -> Any:
        """The frozen teacher's outputs for a batch."""
        return self._said_by(self.teacher, self.cache, inputs, self._teacher_passes)

    def _said_by(
        self,
        frozen: PreTrainedModel,
        cache: TeacherCache | ResidentOutputs | None,
        inputs: Mapping[str, Tensor],
        passes: RecordedPasses | None = None,
    ) -> Any:
        if cache is not None:
            mask = inputs.get("attention_mask") if self.task.sequences else None
            rows = inputs[ROW]
            return cache.read(rows, rows.new_ones(len(rows), cache.tokens) if mask is None else mask)
        if self.objective.observes and frozen is self.teacher:
            batch = {name: value for name, value in inputs.items() if name != ROW}
            return observed(self.objective, frozen, self._features(inputs), self.task.options, batch)
        with torch.no_grad():
            return self._outputs(frozen, inputs, passes)

    def _frozen(self, model: PreTrainedModel, cache: TeacherCache | None) -> PreTrainedModel:
        """A model that is read from a cache has no business on an accelerator."""
        return model.to("cpu" if cache is not None else self.args.device).eval()

    @cached_property
    def passes(self) -> RecordedPasses | None:
        """What records passes of the model, where that pays; asked for once training has begun."""
        return passes_of(self, self.compile, len(self.pieces))

    @property
    def pieces(self) -> Sequence[float | None]:
        """Slices of the model that are trained; a model that stands alone is all there is."""
        return (None,)

    @property
    def piece(self) -> float | None:
        """The slice that computes."""
        return None

    @cached_property
    def _teacher_passes(self) -> RecordedPasses | None:
        # In memory of its own: its outputs are used while the passes of all scales are replayed.
        return None if self.passes is None else RecordedPasses()

    def _outputs(
        self, model: nn.Module, inputs: Mapping[str, Tensor], passes: RecordedPasses | None, piece: float | None = None
    ) -> Any:
        features = self._features(inputs)
        with asking(self.objective, model) as wanted:
            options = {**self.task.options, **wanted}
            if passes is None or len(next(iter(features.values()))) != self.args.train_batch_size:
                return model(**features, **options)
            return passes.run(model, features, options, piece)

    def _features(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        return {name: value for name, value in self.task.inputs(inputs, self.teacher).items() if name != ROW}

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if ROW not in self._signature_columns:
            self._signature_columns.append(ROW)


def _nearest(cache: TeacherCache | None, device: torch.device) -> TeacherCache | ResidentOutputs | None:
    """The kept outputs in the device's memory, where that has room for them."""
    return ResidentOutputs(cache, device) if cache is not None and ResidentOutputs.room(cache, device) else cache


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
