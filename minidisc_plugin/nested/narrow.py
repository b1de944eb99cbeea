"""Narrow the layers of a Hugging Face model to given numbers of heads and neurons.

This file also travels beside the weights of every narrow checkpoint, so it imports torch and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Nothing(nn.Module):
    """Stands where a projection has no output left: zeros, which what follows can be reshaped as one unit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., any) to (..., width)."""
        return features.new_zeros(*features.shape[:-1], self.width)


class Constant(nn.Module):
    """Stands where a projection has no input left: its bias, or zeros, whatever the input is."""

    weight = None  # some layers ask their projections for its type
    bias: Any

    def __init__(self, bias: nn.Parameter | None, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_parameter("bias", bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., any) to (..., width)."""
        return constant(features, self.bias, self.width)


def constant(features: Tensor, bias: Tensor | None, width: int) -> Tensor:
    """What a projection of no features gives, (..., width): its bias, or zeros."""
    # A sum over nothing: a bare view of the bias upsets tools that trace outputs, and layers that write in place.
    return features[..., :0].sum(-1, keepdim=True) + (features.new_zeros(width) if bias is None else bias)


def find(base: Any, pattern: str) -> list[Any]:
    """The modules at a dotted path; `*` stands for every member of a list. None, where the path leads nowhere."""
    found = [base]
    for name in pattern.split("."):
        if name == "*":
            found = [child for module in found for child in module.children()]
        else:
            found = [getattr(module, name) for module in found if isinstance(getattr(module, name, None), nn.Module)]
    return found


def narrow(model: Any, layouts: Sequence[Mapping[str, Any]], heads: Sequence[int], neurons: Sequence[int]) -> None:
    """Keep the first `heads[i]` units of attention i and the first `neurons[i]` of feed-forward network i, in place.

    Each layout says where they live, in the order of the counts; keys and meaning are those of the family's
    declaration. The first layout that fits the model is used.
    """
    base = model.base_model
    layout = next(layout for layout in layouts if _fits(base, layout))
    left = iter(heads)
    for declared in layout["heads"]:
        layers = find(base, declared["at"])
        for layer, count in zip(layers, left, strict=False):
            _narrow_heads(layer, declared, count)
        for path in declared["tables"] if layers and declared["tied"] else ():
            for table in find(base, path):
                _keep_columns(table, count)
    left = iter(neurons)
    for declared in layout["neurons"]:
        for layer, count in zip(find(base, declared["at"]), left, strict=False):
            output = layer.get_submodule(declared["output"])
            if not isinstance(output, Constant):
                _narrow_units(layer, declared, count, 1, shown=0)


def _fits(base: Any, layout: Mapping[str, Any]) -> bool:
    """Whether the first attentions are there, and whatever layers there are have the outputs that are declared."""
    places = [*layout["heads"], *layout["neurons"]]
    held = [bool(find(base, "{at}.{output}".format(**place))) or not find(base, place["at"]) for place in places]
    return all(held) and bool(find(base, places[0]["at"]))


def axes(projection: Any) -> tuple[int, int]:
    """Axes of a weight that hold output and input features; GPT-2's projections are laid out the other way round."""
    return (1, 0) if hasattr(projection, "nf") else (0, 1)


def prefix(tensor: Tensor, axis: int, count: int, blocks: int = 1) -> Tensor:
    """The first `count` slices of each of the equal blocks along an axis; a view where there is one block."""
    if blocks == 1:
        return tensor.narrow(axis, 0, count)
    return torch.cat([block.narrow(axis, 0, count) for block in tensor.chunk(blocks, axis)], axis)


def _narrow_heads(layer: Any, declared: Mapping[str, Any], count: int) -> None:
    output = layer.get_submodule(declared["output"])
    if isinstance(output, Constant):
        return
    attention = layer.get_submodule(declared["attention"])
    size = getattr(attention, declared["head_size"])
    queries = 1
    if declared["grouped"]:
        key = layer.get_submodule(declared["grouped"][0])
        queries = output.weight.shape[axes(output)[1]] // key.weight.shape[axes(key)[0]]
    for path in declared["grouped"]:
        _keep_outputs(layer, path, count * size, 1, size)
    _narrow_units(layer, declared, count, queries * size, shown=1)
    for path in () if declared["tied"] else declared["tables"]:
        _keep_columns(layer.get_submodule(path), count)
    shown = max(count, 1)
    meanings = {"counts": shown * queries, "widths": shown * queries * size, "groups": shown}
    for meaning, value in meanings.items():
        for name in declared[meaning]:
            if hasattr(attention, name):
                setattr(attention, name, value)


def _narrow_units(layer: Any, declared: Mapping[str, Any], count: int, width: int, shown: int) -> None:
    """Narrow what gives units of `width` features each, and what reads them; `shown` units where none is left."""
    output = layer.get_submodule(declared["output"])
    units = output.weight.shape[axes(output)[1]] // width
    for path in _inputs(layer, declared):
        projection = layer.get_submodule(path)
        rows = projection.weight.shape[axes(projection)[0]] // (units * declared["fused"])
        _keep_outputs(layer, path, count * rows, declared["fused"], shown * rows)
    _keep_inputs(layer, declared["output"], count * width)


def _inputs(layer: Any, declared: Mapping[str, Any]) -> Iterator[str]:
    yield from declared["inputs"]
    yield from (path for path in declared["optional"] if find(layer, path))


def _keep_outputs(layer: nn.Module, path: str, count: int, blocks: int, shown: int) -> None:
    """Narrow each block of a projection's output features; `shown` features a block where none is left."""
    projection: Any = layer.get_submodule(path)
    if isinstance(projection, Nothing):
        return
    if count == 0:
        _replace(layer, path, Nothing(shown * blocks))
        return
    axis = axes(projection)[0]
    projection.weight = _prefix(projection.weight, axis, count, blocks)
    if projection.bias is not None:
        projection.bias = _prefix(projection.bias, 0, count, blocks)
    setattr(projection, "nf" if axis else "out_features", count * blocks)


def _keep_columns(table: Any, count: int) -> None:
    """Narrow the columns of an embedding."""
    table.weight = _prefix(table.weight, 1, count)
    table.embedding_dim = count


def _keep_inputs(layer: nn.Module, path: str, count: int) -> None:
    """Narrow a projection's input features."""
    projection: Any = layer.get_submodule(path)
    if isinstance(projection, Constant):
        return
    outputs, inputs = axes(projection)
    if count == 0:
        _replace(layer, path, Constant(projection.bias, projection.weight.shape[outputs]))
        return
    projection.weight = _prefix(projection.weight, inputs, count)
    setattr(projection, "in_features" if inputs else "nx", count)


def _prefix(parameter: nn.Parameter, axis: int, count: int, blocks: int = 1) -> nn.Parameter:
    if parameter.shape[axis] == count * blocks:
        return parameter
    kept = prefix(parameter.detach(), axis, count, blocks).clone(memory_format=torch.contiguous_format)
    return nn.Parameter(kept, requires_grad=parameter.requires_grad)


def _replace(layer: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    owner: Any = layer.get_submodule(parent)
    setattr(owner, name, module)
    owner._is_hf_initialized = True  # else transformers 4 may look for the weights that are gone, to initialise them
