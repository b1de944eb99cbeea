"""Projections and tables that use only a prefix of their weights; the prefix is a view and changes at no cost."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from minidisc_plugin.nested.narrow import constant, prefix


class PrefixProjection(nn.Module):
    """A projection restricted to its first output features (of each block) and its first input features.

    Made from an existing one with `share`, which keeps the module, its parameters and its place in the model, so
    `state_dict` keys and optimizers are not affected. Gradients outside the prefix are zero.

    Attributes:
        rows: Output features used of each block.
        columns: Input features used; 0 leaves the bias.
        blocks: In how many equal parts the output features fall.
        shown: Output features, zeros, shown of each block when `rows` is 0.
    """

    weight: Any
    bias: Any
    rows: int
    columns: int
    blocks: int
    shown: int

    def matrix(self) -> Tensor:
        """The weight as (all output features, all input features)."""
        weight: Tensor = self.weight
        return weight

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., columns) to (..., blocks * rows)."""
        shape = input.shape[:-1]
        if not self.rows:
            return input.new_zeros(*shape, self.blocks * self.shown)
        if not self.columns:
            bias = None if self.bias is None else prefix(self.bias, 0, self.rows, self.blocks)
            return constant(input, bias, self.blocks * self.rows)
        if self.blocks == 1:
            return functional.linear(input, self.matrix()[: self.rows, : self.columns], self._bias(0, self.rows))
        size = self.matrix().shape[0] // self.blocks
        parts = []
        for start in range(0, self.blocks * size, size):
            end = start + self.rows
            parts.append(functional.linear(input, self.matrix()[start:end, : self.columns], self._bias(start, end)))
        return torch.cat(parts, -1)

    def _bias(self, start: int, end: int) -> Tensor | None:
        return None if self.bias is None else self.bias[start:end]


class PrefixLinear(PrefixProjection, nn.Linear):
    """See PrefixProjection."""


class PrefixConv1D(PrefixProjection, Conv1D):  # type: ignore[misc]
    """GPT-2's projection, whose weight is (input features, output features); see PrefixProjection."""

    def matrix(self) -> Tensor:
        """See PrefixProjection."""
        transposed: Tensor = self.weight.t()
        return transposed


class PrefixEmbedding(nn.Embedding):
    """An embedding restricted to its first columns."""

    columns: int

    def forward(self, input: Tensor) -> Tensor:
        """Map (...) indices to (..., columns)."""
        return functional.embedding(input, self.weight[:, : self.columns])


# Quantised and adapted layers derive from these, and compute something else: the type itself decides.
_PREFIX_OF: dict[type, type] = {nn.Linear: PrefixLinear, Conv1D: PrefixConv1D, nn.Embedding: PrefixEmbedding}


def shareable(module: nn.Module) -> bool:
    """Whether `share` can turn a module into its prefix kind."""
    return type(module) in _PREFIX_OF or type(module) in _PREFIX_OF.values()


def share(module: nn.Module, blocks: int = 1, shown: int = 0) -> Any:
    """Turn a projection or an embedding itself into its prefix kind at full size; returns the same object.

    Args:
        module: An `nn.Linear`, `nn.Embedding` or GPT-2's `Conv1D`, or one of the prefix kinds already.
        blocks: See PrefixProjection.
        shown: See PrefixProjection.
    """
    module.__class__ = _PREFIX_OF.get(type(module), type(module))
    values: dict[str, int] = {}
    if isinstance(module, PrefixProjection):
        outputs, inputs = module.matrix().shape
        values = {"rows": outputs // blocks, "columns": inputs, "blocks": blocks, "shown": shown}
    elif isinstance(module, PrefixEmbedding):
        values = {"columns": module.weight.shape[1]}
    module.__dict__.update(values)
    return module


def unshare(module: nn.Module) -> None:
    """Make a prefix kind the plain module again, with the weight that it has."""
    for plain, kind in _PREFIX_OF.items():
        if type(module) is kind:
            module.__class__ = plain
            for name in ("rows", "columns", "blocks", "shown"):
                module.__dict__.pop(name, None)
