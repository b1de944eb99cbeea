"""Labels and predictions counted, and labels shuffled, for the check of a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
