"""Columns of a split, refused where a task cannot read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError, DataError

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.dataset import DatasetConfig


def text_of(split: Dataset, where: str, task: Task, columns: DatasetConfig) -> tuple[str, ...]:
    """The text columns of a config, as many as the task has.

    Raises:
        ConfigError: too few or too many.
        DataError: a column is not in the split.
    """
    wanted = task.text_columns
    if len(columns.text) != len(wanted):
        raise ConfigError(f"dataset.text: {columns.text} does not fit task {task.name}; list {', '.join(wanted)}")
    for column in columns.text:
        require_column(split, where, "text", column)
    return tuple(columns.text)


def texts_alone(split: Dataset, columns: Sequence[str]) -> Dataset:
    """Text columns under names of our own: one called `labels`, as features are, would give these its type."""
    return split.select_columns(list(columns)).rename_columns(
        {column: f"text {place}" for place, column in enumerate(columns)}
    )


def with_columns(examples: Dataset, columns: Mapping[str, list[Any]]) -> Dataset:
    """The dataset with other values in some of its columns, of the types that they have."""
    from datasets import Dataset

    return Dataset.from_dict(
        {name: columns[name] if name in columns else list(examples[name]) for name in examples.column_names},
        features=examples.features,
    )


def require_column(split: Dataset, where: str, key: str, column: str) -> None:
    """Refuse a split without a column, or without rows."""
    if column not in split.column_names:
        raise DataError(
            f"dataset.{key}: column {column!r} is not in split {where!r}; columns: {', '.join(split.column_names)}"
        )
    if not len(split):
        raise DataError(f"dataset: split {where!r} is empty")


def require_text(split: Dataset, where: str, column: str, key: str = "text") -> None:
    """Refuse a column that does not hold text in every row; a text may be empty."""
    kind = getattr(split.features[column], "dtype", "")
    if kind not in ("string", "large_string", "string_view", "null"):
        kind = kind or type(split.features[column]).__name__
        raise DataError(f"dataset.{key}: column {column!r} of split {where!r} holds {kind}, not text")
    start = 0
    for part in split.select_columns([column]).with_format("arrow").iter(10_000):
        values = part.column(column)
        if values.null_count:
            row = start + values.is_null().to_pylist().index(True)
            raise DataError(
                f"dataset.{key}: row {row} (from 0) of column {column!r} of split {where!r} has no text (null); add "
                "it, or leave the row out"
            )
        start += len(values)
