"""The selection split: labelled examples carved from train, so that what is reported never chose anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def carve(train: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split `train` by seed into what is trained on and what selects.

    Args:
        train: At least two examples.
        share: Of the selection split, in (0, 1); it has at least one example.
        seed: Same seed, same split.

    Raises:
        DataError: too few examples for two splits that are not empty.
    """
    size = max(1, round(share * len(train)))
    if len(train) - size < 1:
        raise DataError(
            f"selection_size: {share:g} of {len(train)} training examples leaves none to train on; lower it"
        )
    parts = train.train_test_split(test_size=size, seed=seed, shuffle=True)
    return parts["train"], parts["test"]
