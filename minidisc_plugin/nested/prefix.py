"""A linear projection that uses only a prefix of its weight; the prefix is a view and changes at no cost."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class PrefixLinear(nn.Linear):
    """`nn.Linear` restricted to its first `rows` output and first `columns` input features.

    Made from an existing projection with `share`, which keeps the module, its parameters and its place in the
    model, so `state_dict` keys and optimizers are not affected. Gradients outside the prefix are zero.
    """

    rows: int
    columns: int

    @staticmethod
    def share(linear: nn.Linear) -> PrefixLinear:
        """Turn `linear` itself into a prefix projection at its full size; returns the same object."""
        linear.__class__ = PrefixLinear
        assert isinstance(linear, PrefixLinear)
        linear.rows, linear.columns = linear.out_features, linear.in_features
        return linear

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., columns) to (..., rows)."""
        bias = None if self.bias is None else self.bias[: self.rows]
        return functional.linear(input, self.weight[: self.rows, : self.columns], bias)
