"""Batches padded to one fixed length, as the published protocol pads them, or to one of a few lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from minidisc_plugin.contracts.task import IGNORED


@dataclass(frozen=True)
class PaddedTo:
    """A collator whose batches are `length` tokens wide, or a multiple of `multiple` up to that.

    Attributes:
        collator: Makes batches as wide as their longest example.
        length: In tokens.
        pad_id: The tokenizer's.
        whole: Columns that are left as wide as they are.
        multiple: In tokens; None is `length` alone.
    """

    collator: Callable[[list[Any]], Any]
    length: int
    pad_id: int
    whole: frozenset[str] = frozenset()
    multiple: int | None = None

    def __call__(self, rows: list[Any]) -> dict[str, Tensor]:
        """As `collator`, and padded to the right."""
        batch = dict(self.collator(rows))
        width = batch["input_ids"].shape[-1]
        wide = self.length
        if self.multiple is not None:
            wide = max(width, min(self.length, -(-width // self.multiple) * self.multiple))
        return {name: self._wide(name, value, width, wide) for name, value in batch.items()}

    def _wide(self, name: str, value: Tensor, width: int, wide: int) -> Tensor:
        if name in self.whole or value.dim() < 2 or value.shape[-1] != width:
            return value
        filling = {"input_ids": self.pad_id, "labels": IGNORED}.get(name, 0)
        return functional.pad(value, (0, wide - width), value=filling)
