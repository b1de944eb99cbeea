"""Labels and predictions counted, and labels shuffled, for the check of a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.random import Generator
    from numpy.typing import NDArray

_FEW_CLASSES = 1000


def count_pairs(labels: NDArray[Any], predictions: NDArray[Any], classes: int) -> NDArray[Any] | None:
    """(classes, classes) how often each label and each prediction occur together; None for very many classes."""
    import numpy as np

    if classes > _FEW_CLASSES:
        return None
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def shuffled_where(counted: NDArray[Any], labels: NDArray[Any], chance: Generator) -> NDArray[Any]:
    """Labels with those that count in another order."""
    labels = labels.copy()
    labels[counted] = chance.permutation(labels[counted])
    return labels


def flat_values(features: Dataset, column: str) -> NDArray[Any]:
    """The values of a column of numbers, or of lists of them, one after another."""
    import numpy as np
    import pyarrow
    from pyarrow import compute

    found = [np.zeros(0, int)]
    for part in features.select_columns([column]).with_format("arrow").iter(10_000):
        values = part.column(column)
        while pyarrow.types.is_list(values.type) or pyarrow.types.is_large_list(values.type):
            values = compute.list_flatten(values)
        found.append(np.asarray(values, int))
    return np.concatenate(found)
