"""Which split of a dataset does what, so that what is reported was not trained on and never chose anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.unlabelled import unlabelled_of

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.dataset import DatasetConfig


class Chosen(NamedTuple):
    """Names of splits.

    Attributes:
        train: Trained on; the selection split is carved from it.
        validation: For early stopping, where there is one.
        report: What is reported.
        unlabelled: Trained on, too, whose label is not read, where there is one.
    """

    train: str
    validation: str | None
    report: str
    unlabelled: str | None = None


def choose_splits(settings: DatasetConfig, names: Sequence[str], patience: int | None) -> Chosen:
    """Decide by the config, and by which splits there are.

    Args:
        settings: The section `dataset`.
        names: The dataset's splits.
        patience: The config's `early_stopping_patience`.

    Raises:
        DataError: a split is not there, or would be trained on and judged by.
    """
    train = settings.train_split
    for key in ("train_split", "validation_split", "test_split", "unlabelled_split"):
        name = getattr(settings, key)
        if name is not None and name not in names:
            raise DataError(f"dataset.{key}: {name!r} is not a split; splits: {', '.join(names)}")
        if name == train and key in ("validation_split", "test_split"):
            use = "reported" if key == "test_split" else "used to stop by"
            raise DataError(
                f"dataset.{key}: {name!r} is the split that is trained on, and what is {use} must not be; give another "
                "split, or remove the key"
            )
    held_out = [name for name in names if name != train]
    validation = settings.validation_split or ("validation" if "validation" in held_out else None)
    report = settings.test_split or ("test" if "test" in held_out else validation)
    if report is None:
        raise DataError("dataset: neither a test nor a validation split to report on; add one to data_files")
    unlabelled = unlabelled_of(settings, names)
    uses = {validation: "used to stop by", report: "reported", train: "trained on with its labels"}
    if unlabelled is not None and unlabelled in uses:
        raise DataError(
            f"dataset.unlabelled_split: {unlabelled!r} is the split that is {uses[unlabelled]}, and this must not be; "
            "give another split, or remove the key"
        )
    if validation == report:
        validation = None
    if patience is not None and validation is None:
        raise DataError(
            "early_stopping_patience: there is no validation split besides the reported one; add one, or remove the key"
        )
    return Chosen(train, validation, report, unlabelled)


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
