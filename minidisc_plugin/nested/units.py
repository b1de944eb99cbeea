"""The heads of one attention, or the neurons of one feed-forward network, as slices of shared parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from minidisc_plugin.contracts.family import Family, Heads, Neurons
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.nested.family import layout_of
from minidisc_plugin.nested.narrow import Constant, axes, find, prefix
from minidisc_plugin.nested.prefix import share, shareable

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Part(NamedTuple):
    """An axis of a parameter, of which every unit owns `size` neighbouring slices in each of `blocks` equal parts."""

    parameter: Tensor
    axis: int
    size: int
    blocks: int = 1


@dataclass
class Units:
    """Units of one place in the model; none where nothing is left.

    Attributes:
        count: Number of units present.
        inputs: Projections whose output features belong to units, each with its features per unit and block.
        output: The projection that reads the units.
        size: Its input features per unit.
        tables: Embeddings with one column a unit.
        owner: The module that is told how many units there are.
        attributes: Its attributes that say so: name, and value per unit.
        tie: Places of one tie keep the same units; None where each has its own.
    """

    count: int = 0
    inputs: list[tuple[Any, int]] = field(default_factory=list)
    output: Any = None
    size: int = 1
    tables: list[Any] = field(default_factory=list)
    owner: nn.Module | None = None
    attributes: dict[str, int] = field(default_factory=dict)
    tie: int | None = None

    def settings(self, count: int) -> Iterator[tuple[nn.Module, dict[str, int]]]:
        """What keeping the first `count` units sets: (a module, new values of its plain attributes) pairs."""
        for projection, size in self.inputs:
            yield projection, {"rows": count * size}
        for table in self.tables:
            yield table, {"columns": count}
        if self.output is not None:
            yield self.output, {"columns": count * self.size}
        if self.owner is not None:
            # Attention cannot reshape to no head, so one is shown where none is left; its features are zeros.
            yield self.owner, {name: value * max(count, 1) for name, value in self.attributes.items()}

    def parts(self) -> Iterator[Part]:
        """Every axis of every parameter that units own slices of."""
        for projection, size in self.inputs:
            yield Part(projection.weight, axes(projection)[0], size, projection.blocks)
            if projection.bias is not None:
                yield Part(projection.bias, 0, size, projection.blocks)
        for table in self.tables:
            yield Part(table.weight, 1, 1)
        if self.output is not None:
            yield Part(self.output.weight, axes(self.output)[1], self.size)

    def kept_parameters(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of a parameter and the prefix of it that `count` units keep."""
        for part in self.parts():
            yield part.parameter, prefix(part.parameter, part.axis, count * part.size, part.blocks)

    def dropped_parameters(self, count: int) -> int:
        """Number of parameters that `count` units leave out."""
        return self.parameters_of_one * (self.count - count)

    @property
    def parameters_of_one(self) -> int:
        """Number of parameters that a unit has; 0 where none is left."""
        return sum(part.parameter.numel() // self.count for part in self.parts()) if self.count else 0

    @torch.no_grad()
    def reorder(self, order: Tensor) -> None:
        """Permute units in place; the model computes what it did before.

        Args:
            order: (count,) the present index of each unit in the new order.
        """
        for part in self.parts():
            features = (order.cpu()[:, None] * part.size + torch.arange(part.size)).flatten()
            blocks = torch.arange(part.blocks)[:, None] * len(features)
            index = (blocks + features).flatten().to(part.parameter.device)
            part.parameter.copy_(part.parameter.index_select(part.axis, index))


class Structure(NamedTuple):
    """All that can be sliced in one model, in the order of its family's declaration."""

    heads: list[Units]
    neurons: list[Units]
    layers: list[nn.Module]

    @property
    def places(self) -> list[Units]:
        """Heads, then neurons."""
        return [*self.heads, *self.neurons]


def structure_of(model: PreTrainedModel, family: Family) -> Structure:
    """Find what can be sliced in `model`, and turn its projections into prefix projections.

    Raises:
        UnsupportedModelError: the model's modules are not where its family says.
    """
    layout = layout_of(model, family)
    base = model.base_model
    heads: list[Units] = []
    neurons: list[Units] = []
    layers: dict[nn.Module, None] = {}
    try:
        for attention in layout.heads:
            found = find(base, attention.at)
            layers.update(dict.fromkeys(found))
            places = [_heads(layer, attention) for layer in found]
            if attention.tied and places:
                for place in places:
                    place.tie = len(heads)
                places[0].tables = [share(table) for path in attention.tables for table in find(base, path)]
            elif attention.tables:
                for number, (layer, place) in enumerate(zip(found, places, strict=True), len(heads)):
                    place.tie = number  # a table needs a column, and what is tied keeps a unit
                    place.tables = [share(layer.get_submodule(path)) for path in attention.tables]
            heads += places
        for network in layout.neurons:
            found = find(base, network.at)
            layers.update(dict.fromkeys(found))
            neurons += [_neurons(layer, network) for layer in found]
    except AttributeError as error:
        raise UnsupportedModelError(
            f"model: {type(model).__name__} is not built as its family {family.model_type!r} declares ({error})"
        ) from error
    return Structure(heads, neurons, list(layers))


def _heads(layer: nn.Module, declared: Heads) -> Units:
    output = layer.get_submodule(declared.output)
    if isinstance(output, Constant):
        return Units()
    attention = layer.get_submodule(declared.attention)
    head_size = getattr(attention, declared.head_size)
    if not isinstance(head_size, int) or head_size < 1:
        raise AttributeError(f"{declared.attention}.{declared.head_size} is {head_size!r}, no number of features")
    output = _projection(layer, declared.output)
    queries = 1
    grouped = [_projection(layer, path, shown=head_size) for path in declared.grouped]
    if grouped:
        queries = output.columns // grouped[0].rows
    width = queries * head_size
    count = output.columns // width
    inputs = _inputs(layer, declared, count)
    for projection, size in inputs:
        projection.shown = size
    meanings = {"counts": queries, "widths": width, "groups": 1}
    return Units(
        count=count,
        inputs=inputs + [(projection, head_size) for projection in grouped],
        output=output,
        size=width,
        owner=attention,
        attributes={
            name: value
            for meaning, value in meanings.items()
            for name in getattr(declared, meaning)
            if hasattr(attention, name)
        },
    )


def _neurons(layer: nn.Module, declared: Neurons) -> Units:
    if isinstance(layer.get_submodule(declared.output), Constant):
        return Units()
    output = _projection(layer, declared.output)
    return Units(count=output.columns, inputs=_inputs(layer, declared, output.columns), output=output)


def _inputs(layer: nn.Module, declared: Heads | Neurons, count: int) -> list[tuple[Any, int]]:
    """What gives `count` units, and with how many features each in each of its parts."""
    paths = [*declared.inputs, *(path for path in declared.optional if find(layer, path))]
    if not paths:
        raise AttributeError(f"none of {', '.join(declared.optional)}")
    found = [_projection(layer, path, declared.fused) for path in paths]
    for path, projection in zip(paths, found, strict=True):
        if not count or projection.rows % count:
            raise AttributeError(f"{path} has {projection.rows} features for {count} units of {declared.output}")
    return [(projection, projection.rows // count) for projection in found]


def _projection(layer: nn.Module, path: str, blocks: int = 1, shown: int = 0) -> Any:
    module = layer.get_submodule(path)
    if not shareable(module):
        raise AttributeError(f"{path} is a {type(module).__name__}")
    return share(module, blocks, shown)
