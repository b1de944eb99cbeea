"""The batches of a training stage before it begins: how many an epoch has, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from minidisc_plugin.training.batches import Share, batches_of, example_lengths

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import TrainingArguments


@dataclass(frozen=True)
class Epoch:
    """The first epoch of one process.

    Attributes:
        batches: Examples of each batch.
        sizes: Tokens of each batch, padding included.
    """

    batches: list[list[int]]
    sizes: list[int]

    @property
    def mean_size(self) -> float:
        """Tokens of a batch, on average."""
        return mean(self.sizes)

    @property
    def usual(self) -> list[int]:
        """Examples of the batch that is nearest to the average."""
        return min(zip(self.batches, self.sizes, strict=True), key=lambda batch: abs(batch[1] - self.mean_size))[0]


def first_epoch(
    dataset: Dataset,
    args: TrainingArguments,
    tokens: int | None,
    padded_to: int | None,
    whole_steps: bool = False,
    drawn: int | None = None,
) -> Epoch:
    """The batches that a stage begins with.

    Args:
        dataset: What is trained on.
        args: Of the stage.
        tokens: See GlobalBatches.
        padded_to: Tokens that every example is padded to; None is the longest of its batch.
        whole_steps: See OptimizerStep.
        drawn: See GlobalBatches.
    """
    lengths = example_lengths(dataset)
    size, share = args.train_batch_size, Share(args.process_index, args.world_size)
    batches = list(batches_of(lengths, args, size, tokens, share, whole_steps, drawn))
    sizes = [len(batch) * (padded_to or max(lengths[example] for example in batch)) for batch in batches]
    return Epoch(batches, sizes)
