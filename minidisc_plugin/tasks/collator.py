"""A collator for columns of lists that a tokenizer does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class PaddingCollator:
    """Pads a tokenizer's columns as it does, to the right, and others with a value of their own.

    Args:
        tokenizer: Pads; it is not changed.
        values: Column of lists -> what to pad it with.
    """

    def __init__(self, tokenizer: Any, values: Mapping[str, int]) -> None:
        self.tokenizer = tokenizer
        self.values = dict(values)

    def __call__(self, rows: list[Any]) -> dict[str, Tensor]:
        """Tensors (rows, longest) of every column of lists, (rows,) of every other."""
        import torch

        names = [name for name in rows[0] if name in self.tokenizer.model_input_names]
        side, self.tokenizer.padding_side = self.tokenizer.padding_side, "right"
        try:
            batch = dict(self.tokenizer.pad([{name: row[name] for name in names} for row in rows], return_tensors="pt"))
        finally:
            self.tokenizer.padding_side = side
        for name in rows[0].keys() - set(names):
            column = [row[name] for row in rows]
            if name in self.values:
                longest = max(map(len, column))
                column = [[*values, *[self.values[name]] * (longest - len(values))] for values in column]
            batch[name] = torch.tensor(column)
        return batch
