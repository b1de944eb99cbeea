"""Examples as a frozen teacher is given them, to keep its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minidisc_plugin.foundation.decoders import has_decoder
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.training.teacher_cache import CHANGED

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.task import Task

MASK = "attention_mask"
# Examples that are looked at twice: chance leaves none of so many as it was.
_TWICE = 16


@dataclass(frozen=True)
class Examples:
    """A training set as a teacher is given it.

    Attributes:
        dataset: Columns of the model's inputs, and of labels.
        collate: Makes a batch of rows.
        batch_size: Examples of a batch, without gradients.
        task: What the teacher does.
    """

    dataset: Dataset
    collate: Callable[[list[Any]], Any]
    batch_size: int
    task: Task

    def batches(self, rows: Sequence[int]) -> Iterable[tuple[list[int], dict[str, Tensor]]]:
        """Rows and batches; what is given first comes first."""
        for start in range(0, len(rows), self.batch_size):
            part = list(rows[start : start + self.batch_size])
            yield part, dict(self.collate([self.dataset[row] for row in part]))


def mask_of(batch: Mapping[str, Tensor], outputs: Mapping[str, Any], task: Task) -> Tensor:
    """(examples, tokens), true at real tokens: all of them, where a batch has no mask of tokens."""
    if task.sequences and MASK in batch:
        return batch[MASK].bool()
    states = next((value[0] for value in outputs.values() if isinstance(value, (tuple, list))), None)
    value = next(iter(outputs.values())) if states is None else states
    return torch.ones(value.shape[:2] if states is not None else (len(value), 1), dtype=torch.bool, device=value.device)


def unkept(teacher: PreTrainedModel, task: Task) -> str:
    """Why outputs of such a teacher are not kept; empty where they are."""
    if has_decoder(teacher):
        return "an encoder-decoder's outputs are not kept"
    return "outputs of examples with choices are not kept" if task.chooses else ""


def refuse_changing(examples: Examples) -> None:
    """Refuse inputs that differ from one look to the next, as augmented images do: no length would tell later.

    Raises:
        DataError: some do.
    """
    rows = range(min(_TWICE, len(examples.dataset)))
    looks = [[batch for _, batch in examples.batches(rows)] for _ in range(2)]
    if any(not torch.equal(one[name], other[name]) for one, other in zip(*looks, strict=True) for name in one):
        raise DataError(CHANGED)
