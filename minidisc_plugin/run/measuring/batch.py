"""Batches of the reported split: what models are timed on, traced with and compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.run.data.collating import close_collator
from minidisc_plugin.training.batches import example_lengths

if TYPE_CHECKING:
    import torch

BATCH = 32


def typical_batch(prepared: Prepared) -> Mapping[str, torch.Tensor]:
    """Inputs of examples around the median length, repeated where the reported split is small."""
    by_length = _by_length(prepared)
    start = max(0, len(by_length) // 2 - BATCH // 2)
    middle = by_length[start : start + BATCH]
    return _inputs(prepared, [middle[index % len(middle)] for index in range(BATCH)])


def resized(batch: Mapping[str, torch.Tensor], examples: int) -> dict[str, torch.Tensor]:
    """So many of a batch's examples, from its first on, again and again."""
    import torch

    places = torch.arange(examples) % len(next(iter(batch.values())))
    return {name: value[places] for name, value in batch.items()}


def sample_batch(prepared: Prepared) -> Mapping[str, torch.Tensor]:
    """Inputs of two examples, the second padded where lengths differ: what an exporter may trace a model with."""
    by_length = _by_length(prepared)
    return _inputs(prepared, [by_length[-1], by_length[0]])


def uneven_batch(prepared: Prepared) -> Mapping[str, torch.Tensor]:
    """Inputs of three examples, the shortest first: another number and, mostly, other lengths than `sample_batch`."""
    by_length = _by_length(prepared)
    return _inputs(prepared, [by_length[0], by_length[len(by_length) // 2], by_length[(len(by_length) - 1) // 3]])


def _by_length(prepared: Prepared) -> list[int]:
    """Places of the reported split's examples, the shortest first."""
    lengths = example_lengths(prepared.splits.report)
    return sorted(range(len(lengths)), key=lengths.__getitem__)


def _inputs(prepared: Prepared, places: Sequence[int]) -> Mapping[str, torch.Tensor]:
    rows = [prepared.splits.report[place] for place in places]
    return prepared.task.inputs(close_collator(prepared)(rows), prepared.teacher)
