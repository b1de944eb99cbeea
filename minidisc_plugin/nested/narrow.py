"""Narrow the layers of a Hugging Face model to given numbers of heads and neurons.

This file also travels beside the weights of every narrow checkpoint, so it imports torch and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class NoHeads(nn.Module):
    """Stands where a layer's attention has no head left: the context has no features, the weights no heads."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """Map (..., width) to (..., 0)."""
        return hidden_states.new_zeros(*hidden_states.shape[:-1], 0), None


class Constant(nn.Module):
    """Stands where a projection has no input left: its bias, whatever the (empty) input is."""

    def __init__(self, bias: nn.Parameter) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., 0) to (..., width)."""
        # The sum over no features is zero; a bare view of the bias upsets tools that trace outputs.
        return features.sum(-1, keepdim=True) + self.bias


class Nothing(nn.Module):
    """Stands where a projection has no output left."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., width) to (..., 0)."""
        return features.new_zeros(*features.shape[:-1], 0)


def narrow(model: Any, paths: Mapping[str, Any], heads: Sequence[int], neurons: Sequence[int]) -> None:
    """Keep the first `heads[i]` heads and the first `neurons[i]` neurons of layer i, in place.

    `paths` says where they live; keys and meaning are those of the family's declaration.
    """
    layers = model.base_model.get_submodule(paths["layers"])
    for layer, head_count, neuron_count in zip(layers, heads, neurons, strict=True):
        attention = layer.get_submodule(paths["attention"])
        if not isinstance(attention, NoHeads):
            width = head_count * getattr(attention, paths["head_size"])
            for path in paths["head_inputs"]:
                _keep(layer, path, rows=width)
            _keep(layer, paths["head_output"], columns=width)
            setattr(attention, paths["head_count"], head_count)
            setattr(attention, paths["head_width"], width)
            if head_count == 0:
                _replace(layer, paths["attention"], NoHeads())
        for path in paths["neuron_inputs"]:
            _keep(layer, path, rows=neuron_count)
        _keep(layer, paths["neuron_output"], columns=neuron_count)


def _keep(layer: nn.Module, path: str, rows: int | None = None, columns: int | None = None) -> None:
    """Narrow one linear projection to its first output features (rows) or input features (columns)."""
    linear: Any = layer.get_submodule(path)
    if isinstance(linear, (Constant, Nothing)):
        return
    if rows == 0:
        _replace(layer, path, Nothing())
    elif columns == 0:
        bias = linear.bias
        if bias is None:
            bias = nn.Parameter(linear.weight.new_zeros(linear.out_features), requires_grad=False)
        _replace(layer, path, Constant(bias))
    elif rows is not None and rows < linear.out_features:
        linear.weight = _prefix(linear.weight, (slice(rows), slice(None)))
        if linear.bias is not None:
            linear.bias = _prefix(linear.bias, (slice(rows),))
        linear.out_features = rows
    elif columns is not None and columns < linear.in_features:
        linear.weight = _prefix(linear.weight, (slice(None), slice(columns)))
        linear.in_features = columns


def _prefix(parameter: nn.Parameter, region: tuple[slice, ...]) -> nn.Parameter:
    kept = parameter.detach()[region].clone(memory_format=torch.contiguous_format)
    return nn.Parameter(kept, requires_grad=parameter.requires_grad)


def _replace(layer: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(layer.get_submodule(parent), name, module)
