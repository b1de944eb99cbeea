"""That a layout is right: leaving units out of a model changes what zeroing them changes, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.nested.deriving.probing import floats, probe_inputs
from minidisc_plugin.nested.narrow import axes
from minidisc_plugin.nested.units import Units, structure_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Share of the largest output. Some layers compute a softmax or a norm in fp32, whatever the model is in.
_CLOSE = {torch.float64: 1e-5, torch.float32: 1e-4}
_EFFECT = 30  # times as large: less cannot be told from rounding


class Proof:
    """A model on which declarations of its units are tried, in fp64 where it computes in that.

    Its weights are the given model's with noise on top, so that none is without effect; the given model is left as it
    is. It takes eight bytes a parameter, and twice that for one kind of units at a time.

    Attributes:
        model: The copy.
    """

    @torch.no_grad()
    def __init__(self, model: PreTrainedModel) -> None:
        self.model = _noisy(copy.deepcopy(model).to("cpu", torch.float64))
        try:
            self.model(**probe_inputs(self.model))
        except RuntimeError:  # a mask, or a kernel, for other types only
            self.model = self.model.float()
        self._inputs = probe_inputs(self.model)
        self._close = _CLOSE[next(self.model.parameters()).dtype]
        self._whole = self._outputs()
        if self._distance(self._outputs(), self._whole) > self._close:
            raise UnsupportedModelError("it computes something else each time")

    @torch.no_grad()
    def fault(self, declared: Heads | Neurons) -> str:
        """What is wrong with units of all layers; empty where they are declared right."""
        heads, neurons = ((declared,), ()) if isinstance(declared, Heads) else ((), (declared,))
        family = Family(model_type="", layouts=(Layout(heads=heads, neurons=neurons),))
        try:
            places = structure_of(self.model, family).places
        except UnsupportedModelError as error:
            return str(error)
        groups: dict[int, list[Units]] = {}
        for number, units in enumerate(places):
            groups.setdefault(number if units.tie is None else -1 - units.tie, []).append(units)
        if any(len({units.count for units in group}) > 1 for group in groups.values()):
            return "layers that keep the same heads have different numbers of them"
        with _unchanged(places):
            return self._fault(list(groups.values()))

    def _fault(self, groups: Sequence[list[Units]]) -> str:
        generator = torch.Generator().manual_seed(1)
        for group in groups:
            order = torch.randperm(group[0].count, generator=generator)
            for units in group:
                units.reorder(order)
        if not self._distance(self._outputs(), self._whole) <= self._close:
            return "another order of its units changes what the model computes"
        for number, group in enumerate(groups, 1):
            least = int(group[0].tie is not None)  # of what is tied, one unit is kept
            for kept in dict.fromkeys((group[0].count // 2, least)):
                found = self._without(group, kept)
                if found:
                    return f"{found} (in number {number} of {len(groups)})"
        return ""

    def _without(self, group: Sequence[Units], kept: int) -> str:
        """What is wrong with leaving out all but the first units of places that belong together."""
        out = f"{group[0].count - kept} of {group[0].count} units"
        with _zeroed(group, kept):
            zeroed = self._outputs()
        effect = self._distance(zeroed, self._whole)
        if not effect > _EFFECT * self._close:
            return f"{out} have no effect on what the model computes"
        try:
            _set(group, kept)
            sliced = self._outputs()
        except Exception as error:  # whatever a model says of widths that it did not expect
            return f"without {out} it does not compute ({type(error).__name__}: {one_line(str(error))})"
        finally:
            _set(group, None)
        wrong = self._distance(sliced, zeroed)
        if not wrong <= self._close:
            return f"leaving {out} out is {wrong / effect:.1%} off what zeroing them does"
        return ""

    def _outputs(self) -> Tensor:
        return torch.cat([found.flatten() for found in floats(self.model(**self._inputs))])

    def _distance(self, found: Tensor, expected: Tensor) -> float:
        if found.shape != expected.shape:
            return float("inf")
        return float((found - expected).abs().max() / self._whole.abs().max())


def _noisy(model: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        if parameter.numel() and parameter.is_floating_point():
            spread = 0.02 + 0.1 * parameter.abs().mean()
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * spread)
    return model.eval()


def _set(group: Sequence[Units], kept: int | None) -> None:
    """Show the first units of places, or all of them again."""
    for units in group:
        for module, values in units.settings(units.count if kept is None else kept):
            module.__dict__.update(values)


@contextmanager
def _zeroed(group: Sequence[Units], kept: int) -> Iterator[None]:
    """All but the first units of places add nothing."""
    weights = [units.output.weight for units in group]
    before = [weight.clone() for weight in weights]
    for units, weight in zip(group, weights, strict=True):
        weight.narrow(axes(units.output)[1], kept * units.size, (units.count - kept) * units.size).zero_()
    try:
        yield
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.copy_(value)


@contextmanager
def _unchanged(places: Sequence[Units]) -> Iterator[None]:
    """Put all weights of units back in the end."""
    weights = {id(part.parameter): part.parameter for units in places for part in units.parts()}
    before = {name: weight.clone() for name, weight in weights.items()}
    try:
        yield
    finally:
        for name, weight in weights.items():
            weight.copy_(before[name])
