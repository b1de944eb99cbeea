"""Batches padded to one fixed length, as the published protocol pads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from minidisc_plugin.contracts.task import IGNORED


@dataclass(frozen=True)
class PaddedTo:
    """A collator whose batches are `length` tokens wide.

    Attributes:
        collator: Makes batches as wide as their longest example.
        length: In tokens.
        pad_id: The tokenizer's.
        whole: Columns that are left as wide as they are.
    """

    collator: Callable[[list[Any]], Any]
    length: int
    pad_id: int
    whole: frozenset[str] = frozenset()

    def __call__(self, rows: list[Any]) -> dict[str, Tensor]:
        """As `collator`, and padded to the right."""
        batch = dict(self.collator(rows))
        width = batch["input_ids"].shape[1]
        return {name: self._wide(name, value, width) for name, value in batch.items()}

    def _wide(self, name: str, value: Tensor, width: int) -> Tensor:
        if name in self.whole or value.dim() < 2 or value.shape[1] != width:
            return value
        filling = {"input_ids": self.pad_id, "labels": IGNORED}.get(name, 0)
        return functional.pad(value, (0, self.length - width), value=filling)
