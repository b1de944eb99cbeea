"""Columns of files that are read together: those that a config asks for stand in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError


def wanted_columns(settings: DatasetConfig, files: Iterable[Iterable[str]]) -> list[str]:
    """Columns that a config asks for and that some file has; what none has is told where a task misses it."""
    there = {column for columns in files for column in columns}
    return [column for column in dict.fromkeys([*settings.inputs, settings.label]) if column in there]


def common_columns(
    settings: DatasetConfig, files: Mapping[str, Sequence[str] | Mapping[str, object]]
) -> list[str] | None:
    """What to read where files have different columns; None where all have the same.

    Args:
        settings: The config's section.
        files: Columns by file.

    Raises:
        DataError: a column that is asked for is in one file and not in another; the message names both.
    """
    if len({frozenset(columns) for columns in files.values()}) < 2:
        return None
    for column in wanted_columns(settings, files.values()):
        having = next(file for file, columns in files.items() if column in columns)
        lacking = next((file for file, columns in files.items() if column not in columns), None)
        if lacking is not None:
            raise DataError(
                f"dataset.data_files: {lacking} has no column {column!r}, which {having} has; its columns are "
                f"{', '.join(files[lacking])}; rename or add it"
            )
    first = dict.fromkeys(filter(None, next(iter(files.values()))))  # without one of no name, such as pandas' index
    return [name for name in first if all(name in columns for columns in files.values())]
