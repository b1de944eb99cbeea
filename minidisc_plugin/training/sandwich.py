"""The sandwich: all scales of one nested network trained together against one frozen teacher (section 3.2)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.trainer_utils import EvalLoopOutput

from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.training.distil import DistillationTrainer


class ScaleSampler:
    """Which scales a step trains.

    Args:
        scales: All scales of the network.
        random_scales: None trains all of them in every step, as published; k trains the largest, the smallest and
            k others drawn at random.
        seed: Of the draw. It depends on seed and step alone, so processes agree and a resumed run repeats it.
    """

    def __init__(self, scales: Sequence[float], random_scales: int | None, seed: int) -> None:
        self.scales = sorted(scales)
        self.random_scales = random_scales
        self.seed = seed

    def draw(self, step: int) -> list[float]:
        """Scales of a step, ascending: the largest, which uses every weight the others use, is the last."""
        inner = self.scales[1:-1]
        if self.random_scales is None or self.random_scales >= len(inner):
            return self.scales
        drawn = random.Random(self.seed * 1_000_003 + step).sample(inner, self.random_scales)
        return [self.scales[0], *sorted(drawn), self.scales[-1]]


class SandwichTrainer(DistillationTrainer):
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
        self._drawn = 1
        self._teacher_outputs: Any = None

    def training_step(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        """One step over the scales drawn for it; the teacher runs once."""
        inputs = self._prepare_inputs(inputs)
        scales = self.sampler.draw(self.state.global_step)
        self._drawn = len(scales)
        losses: list[Tensor] = []
        try:
            for scale, last in zip(scales, _last(len(scales)), strict=True):
                self.nested.set_scale(scale)
                self.label = f"the candidate of scale {scale:g}"
                with self._gradient_synchronisation(model, last):
                    losses.append(super().training_step(model, inputs, *args, **kwargs))
        finally:
            self._teacher_outputs = None
            self.nested.set_scale(self.nested.largest_scale)
        return torch.stack(losses).sum()

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """One scale's share of the mean loss."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return loss / self._drawn if model.training else loss

    def teacher_outputs(self, features: dict[str, Tensor]) -> Any:
        """The frozen teacher's outputs, computed once a step."""
        if self._teacher_outputs is None:
            self._teacher_outputs = super().teacher_outputs(features)
        return self._teacher_outputs

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate every scale: each metric once per scale (`eval_accuracy@0.3`) and as their mean."""
        outputs: dict[float, EvalLoopOutput] = {}
        for scale in self.sampler.scales:
            self.nested.set_scale(scale)
            outputs[scale] = super().evaluation_loop(
                dataloader, f"{description} at scale {scale:g}", prediction_loss_only, ignore_keys, metric_key_prefix
            )
        self.nested.set_scale(self.nested.largest_scale)
        metrics: dict[str, float] = {}
        for scale, output in outputs.items():
            metrics |= {f"{name}@{scale:g}": value for name, value in (output.metrics or {}).items()}
        for name in outputs[scale].metrics or {}:
            values = [metrics[f"{name}@{scale:g}"] for scale in outputs]
            metrics[name] = float(np.mean(values)) if all(map(math.isfinite, values)) else math.nan
        return EvalLoopOutput(outputs[scale].predictions, outputs[scale].label_ids, metrics, outputs[scale].num_samples)

    def _gradient_synchronisation(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients once a step, with the last and largest scale.

        Under FSDP they do so at every scale: gradients that wait are kept whole in every process.
        """
        return nullcontext() if last or self.is_fsdp_enabled else self.accelerator.no_sync(model)


def _last(count: int) -> Iterator[bool]:
    return (index == count - 1 for index in range(count))
