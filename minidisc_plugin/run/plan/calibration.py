"""What passes and updates take on this machine, measured in a few seconds: what `minidisc plan` predicts time from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.training.batches import length_in

if TYPE_CHECKING:
    from torch import Tensor

    from minidisc_plugin.nested.model import NestedModel

_REPEATS = 3
# A pass that takes longer than this is measured once: the plan of a large model should not take minutes.
_LONG = 2.0
# Parameters to update; more than any processor's cache holds.
_ENOUGH = 2**24


@dataclass(frozen=True)
class Calibration:
    """Seconds for one batch on this machine.

    Attributes:
        trained: Forward and backward pass of a scale.
        frozen: Forward pass of a scale, without gradients.
        update: Optimizer step for each parameter.
        examples: Of the batch.
        tokens: Of each example.
    """

    trained: Mapping[float, float]
    frozen: Mapping[float, float]
    update: float
    examples: int
    tokens: int


def calibrate(
    nested: NestedModel,
    batch: Mapping[str, Tensor],
    trained: Iterable[float],
    frozen: Iterable[float],
    options: Mapping[str, Any],
    dropout: bool = False,
    half: torch.dtype | None = None,
) -> Calibration:
    """Measure scales of a network that is not trimmed; its weights end as they were.

    Args:
        nested: On the device on which it is to be trained.
        batch: Inputs of a usual batch.
        trained: Scales that are trained.
        frozen: Scales that are followed.
        options: Further arguments of the model.
        dropout: Whether what is trained drops out.
        half: Type of the autocast in which passes run; None without.
    """
    model = nested.model
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in batch.items()}

    autocast = partial(torch.autocast, device.type, half, enabled=half is not None)

    def follow() -> None:
        with torch.no_grad(), autocast():
            model(**inputs, **options, output_hidden_states=True)

    def train() -> None:
        with autocast():
            found = model(**inputs, **options, output_hidden_states=True)
        loss = sum(value.float().pow(2).mean() for value in _tensors(found.values()))
        loss.backward()  # type: ignore[union-attr]

    was_training = model.training
    forward, both = {}, {}
    for scale in sorted({*trained, *frozen}, reverse=True):
        nested.set_scale(scale)
        if scale in frozen:
            model.eval()
            forward[scale] = _seconds(follow)
        if scale in trained:
            model.train(dropout)
            both[scale] = _seconds(train)
    update = _update(model)
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    return Calibration(both, forward, update, len(next(iter(inputs.values()))), length_in(inputs))


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)


def _update(model: torch.nn.Module) -> float:
    """Of copies of some weights, as the weights themselves stay."""
    copies: list[torch.nn.Parameter] = []
    for value in model.parameters():
        if sum(copy.numel() for copy in copies) < _ENOUGH:
            copies.append(torch.nn.Parameter(value.detach().clone()))
            copies[-1].grad = torch.zeros_like(value)
    optimizer = torch.optim.AdamW(copies, lr=0.0, fused=True)
    return _seconds(optimizer.step) / max(1, sum(copy.numel() for copy in copies))


def _seconds(run: Callable[[], Any]) -> float:
    """Median of a few runs after one to warm up; of that one alone where it is long."""
    found: list[float] = []
    for _ in range(_REPEATS + 1):
        start = _now()
        run()
        found.append(_now() - start)
        if found[0] > _LONG:
            return found[0]
    return median(found[1:])


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
