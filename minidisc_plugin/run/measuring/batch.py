"""The batch that models are timed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.run import Prepared

if TYPE_CHECKING:
    import torch

BATCH = 32


def typical_batch(prepared: Prepared) -> Mapping[str, torch.Tensor]:
    """Inputs of examples around the median length, repeated where the reported split is small."""
    from transformers import DataCollatorWithPadding

    plain = prepared.splits.report
    lengths = [len(ids) for ids in plain["input_ids"]]
    by_length = sorted(range(len(plain)), key=lengths.__getitem__)
    start = max(0, len(by_length) // 2 - BATCH // 2)
    middle = by_length[start : start + BATCH]
    rows = [plain[middle[index % len(middle)]] for index in range(BATCH)]
    collate = prepared.task.collator(prepared.tokenizer) or DataCollatorWithPadding(prepared.tokenizer)
    return prepared.task.inputs(collate(rows), prepared.teacher)
