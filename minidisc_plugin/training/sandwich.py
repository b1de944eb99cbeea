"""The sandwich: all scales of one nested network trained together against one frozen teacher (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.training.distil import DistillationTrainer
from minidisc_plugin.training.scale_sampler import ScaleSampler
from minidisc_plugin.training.scales_evaluation import ScalesEvaluation
from minidisc_plugin.training.shared_lookups import SharedLookups


class SandwichTrainer(DistillationTrainer, ScalesEvaluation):
    """Trains the scales of `nested` by the mean of their losses; evaluates every scale.

    The gradient of one scale is released before the next is computed, so memory does not grow with their number.

    Args:
        nested: The network; `Trainer` sees its inner model.
        sampler: Which scales a step trains.
        **kwargs: As DistillationTrainer, without `model`.
    """

    def __init__(self, nested: NestedModel, sampler: ScaleSampler, **kwargs: Any) -> None:
        super().__init__(model=nested.model, **kwargs)
        self.nested = nested
        self.sampler = sampler
        self._lookups = SharedLookups(nested.model)
        self._weight = 1.0
        self._teacher_outputs: Any = None

    @property
    def evaluated(self) -> Sequence[float]:  # type: ignore[override]
        """Scales that are still trained."""
        return self.sampler.scales

    def training_step(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """One step over the scales drawn for it; the teacher runs once."""
        inputs = self._prepare_inputs(inputs)
        # Ascending: the largest of a step uses every weight that its others use, and is the last.
        drawn = self.sampler.draw(self.state.global_step)
        losses: dict[str, Tensor] = {}
        try:
            with self._lookups.step():
                for draw, last in zip(drawn, _last(len(drawn)), strict=True):
                    self.nested.set_scale(draw.scale)
                    self.label = f"the candidate of scale {draw.scale:g}"
                    self._weight = draw.weight
                    with self._exchange(model, last):
                        losses[self.label] = super().training_step(model, inputs, *args, **kwargs)
        finally:
            self._teacher_outputs = None
            self.nested.set_scale(self.nested.largest_scale)
        super().check_losses(losses)
        return torch.stack(list(losses.values())).sum()

    def check_losses(self, losses: Mapping[str, Tensor]) -> None:
        """Nothing: those of a step are checked together, and the device is waited for once."""

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """One scale's share of the mean loss."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return loss * self._weight if model.training else loss

    def teacher_outputs(self, inputs: dict[str, Tensor]) -> Any:
        """The frozen teacher's outputs, computed or read once a step."""
        if self._teacher_outputs is None:
            self._teacher_outputs = super().teacher_outputs(inputs)
        return self._teacher_outputs

    @property
    def pieces(self) -> Sequence[float]:
        """Scales that are trained."""
        return self.sampler.scales

    @property
    def piece(self) -> float | None:
        """The scale that computes."""
        return self.nested.scale

    @contextmanager
    def _exchange(self, model: nn.Module, last: bool) -> Iterator[None]:
        """Processes exchange gradients once a step, with its last and largest scale, and tables are given theirs then.

        Under FSDP they do so at every scale: gradients that wait are kept whole in every process.
        """
        if self.is_fsdp_enabled:
            yield
            return
        if self.passes is not None:
            yield  # one process, and recordings sum up what they find in buffers of their own
            return
        with nullcontext() if last else self.accelerator.no_sync(model), self._lookups.scale(last):
            yield


def _last(count: int) -> Iterator[bool]:
    return (index == count - 1 for index in range(count))
