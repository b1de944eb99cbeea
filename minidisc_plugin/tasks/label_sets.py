"""Labels of examples that may have several: lists of classes, or 0/1 vectors, as vectors that a model takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.tasks.labels import label_ids

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def label_vectors(
    labels: Sequence[Any], config: PretrainedConfig, where: str, names: Sequence[str] | None = None
) -> list[list[float]]:
    """A vector for each example: 1 at the classes that it has, 0 elsewhere.

    Args:
        labels: A column: lists of class names, of indices, or of as many 0 and 1 as there are classes; a list may
            also stand as JSON in a text.
        config: The model's.
        where: The column and split, for messages.
        names: What the data set calls its classes, where labels are its own indices.

    Raises:
        DataError: a list is missing, names what the model does not have, or could mean two things.
    """
    count = int(config.num_labels)
    lists = [_list(label, row, where) for row, label in enumerate(labels)]
    binary = [len(values) == count and all(value in (0, 1) for value in values) for values in lists]
    distinct = [len(set(map(str, values))) == len(values) for values in lists]
    if all(binary) and not (names is not None and all(distinct)):
        if all(distinct) and _are_classes([value for values in lists for value in values], config):
            raise DataError(
                f"dataset.label: the lists of {where} may be indices of classes, or a 0 or 1 for each of {count} "
                "classes; give the names of the classes"
            )
        return [[float(value) for value in values] for values in lists]
    for row, ok in enumerate(distinct):
        if not ok:
            raise DataError(
                f"dataset.label: row {row} (from 0) of {where} is {lists[row]!r:.80}, neither different classes nor a "
                f"0 or 1 for each of the model's {count}; correct it"
            )
    rows = [row for row, values in enumerate(lists) for _ in values]
    found = iter(label_ids([value for values in lists for value in values], config, where, names, rows))
    vectors = [[0.0] * count for _ in lists]
    for row, index in zip(rows, found, strict=True):
        vectors[row][int(index)] = 1.0
    return vectors


def _are_classes(values: Sequence[Any], config: PretrainedConfig) -> bool:
    """Whether every value could stand for a class."""
    try:
        label_ids(values, config, "")
    except DataError:
        return False
    return True


def _list(label: Any, row: int, where: str) -> list[Any]:
    """The list of an example, from JSON where it is text.

    Raises:
        DataError: it is none.
    """
    if isinstance(label, str):
        try:
            label = json.loads(label)
        except (ValueError, RecursionError):
            label = None
    if not isinstance(label, list):
        raise DataError(
            f"dataset.label: row {row} (from 0) of {where} has no list of labels, and the model gives each example "
            'several (multi_label_classification); give lists such as ["a", "b"], or [] for none, in JSON or Parquet '
            "files, or as JSON in a column of text"
        )
    return label
