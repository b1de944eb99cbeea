"""Labels of classification and regression as a model takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.errors import DataError

if TYPE_CHECKING:
    from transformers import EvalPrediction, PretrainedConfig


def is_regression(config: PretrainedConfig) -> bool:
    """Whether a sequence classification model of this config predicts real numbers."""
    return bool(config.problem_type == "regression" or config.num_labels == 1)


def perfect_predictions(config: PretrainedConfig) -> EvalPrediction:
    """A few predictions that hit every label, to try a metric on."""
    import numpy as np
    from transformers import EvalPrediction

    regression = is_regression(config)
    labels = np.arange(3.0) if regression else np.arange(config.num_labels)
    return EvalPrediction(labels[:, None] if regression else np.eye(len(labels)), labels)


def label_ids(labels: Sequence[Any], config: PretrainedConfig, where: str) -> list[int] | list[float]:
    """Labels as the model takes them: class indices, or real numbers for a regression.

    Args:
        labels: A column: indices, class names of the model's config, or numbers.
        config: The model's.
        where: The column and split, for messages.

    Raises:
        DataError: a label that is missing, or that the model does not have.
    """
    for row, label in enumerate(labels):
        if label is None or (isinstance(label, float) and math.isnan(label)):
            raise DataError(f"dataset.label: row {row} (from 0) of {where} has none; add it, or leave the row out")
    if is_regression(config):
        return [_real(label, where) for label in labels]
    by_name: Mapping[str, int] = config.label2id or {}
    found: dict[Any, int] = {}
    for label in set(labels):
        index = by_name.get(label) if isinstance(label, str) else _index(label)
        if index is None or not 0 <= index < config.num_labels:
            raise DataError(
                f"dataset.label: {label!r} in {where} is not a label of the model, "
                f"which has {config.num_labels}: {', '.join(list(by_name)[:5])}{' ...' if len(by_name) > 5 else ''}"
            )
        found[label] = int(index)
    return [found[label] for label in labels]


def _index(label: Any) -> int | None:
    """A class index; a column that lost its integer type, such as by an empty cell elsewhere, holds 1.0 for 1."""
    whole = isinstance(label, int) or (isinstance(label, float) and label.is_integer())
    return int(label) if whole and not isinstance(label, bool) else None


def _real(label: Any, where: str) -> float:
    try:
        value = float(label)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"dataset.label: {label!r} in {where} is not a number, and the model is a regression")
    return value
