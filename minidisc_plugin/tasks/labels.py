"""Labels of classification and regression as a model takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.tasks.classes import Classes

if TYPE_CHECKING:
    from transformers import EvalPrediction, PretrainedConfig

_HIDDEN = -1


def is_regression(config: PretrainedConfig) -> bool:
    """Whether a sequence classification model of this config predicts real numbers."""
    if config.problem_type == "multi_label_classification":
        return False
    return bool(config.problem_type == "regression" or config.num_labels == 1)


def perfect_predictions(config: PretrainedConfig, given: Sequence[Any] | None = None) -> EvalPrediction:
    """Predictions that hit the given labels; without any a few that hit every label."""
    import numpy as np
    from transformers import EvalPrediction

    regression = is_regression(config)
    labels = np.asarray(given if given is not None else range(3 if regression else config.num_labels))
    if regression:
        return EvalPrediction(labels[:, None].astype(float), labels.astype(float))
    return EvalPrediction(np.eye(config.num_labels)[labels], labels)


def label_ids(
    labels: Sequence[Any],
    config: PretrainedConfig,
    where: str,
    names: Sequence[str] | None = None,
    rows: Sequence[int] | None = None,
) -> list[int] | list[float]:
    """Labels as the model takes them: class indices, or real numbers for a regression.

    Args:
        labels: A column: class names of the model's config, indices, or numbers.
        config: The model's.
        where: The column and split, for messages.
        names: What the data set calls its classes, where labels are its own indices.
        rows: The row of each label, for messages; each its own when left out.

    Raises:
        ConfigError: the model's config contradicts itself.
        DataError: a label is missing or hidden, or the model does not have it.
    """
    refuse_missing(labels, where, rows)
    if names is not None:
        refuse_undeclared(labels, names, where, rows)
    if is_regression(config):
        return [_real(label if names is None else names[label], where) for label in labels]
    classes = Classes(config)
    if names is not None:
        return classes.indices_of(labels, names, where)
    if classes.named(str(_HIDDEN)) is None:
        refuse_hidden(labels, where, rows)
    return classes.indices(labels, where, rows)


def real_numbers(labels: Sequence[Any], where: str) -> list[float]:
    """Labels of a column as numbers.

    Raises:
        DataError: a label is missing, or is no number.
    """
    refuse_missing(labels, where)
    return [_real(label, where) for label in labels]


def declared_names(feature: Any) -> Sequence[str] | None:
    """What a column of a data set, or of lists in it, calls its classes; None where it declares none."""
    from datasets import ClassLabel

    while not isinstance(feature, ClassLabel):
        feature = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", None)
        if feature is None:
            return None
    return list(feature.names)


def refuse_missing(labels: Sequence[Any], where: str, rows: Sequence[int] | None = None) -> None:
    """Refuse a column in which a row has no label; see label_ids."""
    for place, label in enumerate(labels):
        if _is_missing(label):
            row = place if rows is None else rows[place]
            raise DataError(f"dataset.label: row {row} (from 0) of {where} has none; add it, or leave the row out")


def _is_missing(label: Any) -> bool:
    return label is None or (isinstance(label, float) and math.isnan(label)) or (isinstance(label, str) and not label)


def refuse_hidden(labels: Sequence[Any], where: str, rows: Sequence[int] | None = None) -> None:
    """Refuse what data sets of benchmarks hold in place of labels that they keep to themselves."""
    hidden = [place for place, label in enumerate(labels) if str(label) in (str(_HIDDEN), f"{_HIDDEN}.0")]
    if not hidden:
        return
    if len(hidden) == len(labels):
        raise DataError(
            f"dataset.label: {where} has hidden labels ({_HIDDEN} in every row), so it can neither be learned nor "
            "measured on; give another split, such as test_split: validation"
        )
    row = hidden[0] if rows is None else rows[hidden[0]]
    raise DataError(f"dataset.label: row {row} (from 0) of {where} has a hidden label ({_HIDDEN}); leave the row out")


def refuse_undeclared(
    labels: Sequence[Any], names: Sequence[str], where: str, rows: Sequence[int] | None = None
) -> None:
    """Refuse hidden labels, and indices of classes that a data set does not declare."""
    refuse_hidden(labels, where, rows)
    beyond = sorted({label for label in labels if not 0 <= label < len(names)})
    if beyond:
        raise DataError(f"dataset.label: {where} holds {beyond[0]}, and declares {len(names)} classes; correct it")


def _real(label: Any, where: str) -> float:
    try:
        value = math.nan if isinstance(label, bool) or "_" in str(label) else float(label)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"dataset.label: {label!r} in {where} is not a number, and numbers are compared; correct it")
    return value
