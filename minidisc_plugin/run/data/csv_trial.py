"""CSV files of forms that only pandas reads, tried by it row by row: rows that it would fill up, cut or shift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.packed_files import DataFile

# Of the loader, and not of pandas' reader.
_OTHER_NAMES = {"column_names": "names", "delimiter": "sep"}


def try_rows(file: DataFile, settings: DatasetConfig, options: Mapping[str, Any]) -> tuple[list[str], int]:
    """Read a file as the loader will; returns its columns, and how many rows it has.

    Raises:
        DataError: a row has too few or too many fields, or pandas cannot read it; the message names the file.
    """
    import pandas as pd

    wanted = [*settings.inputs, settings.label]
    arguments = {_OTHER_NAMES.get(key, key): value for key, value in options.items()}
    arguments = {"chunksize": 10_000, **arguments, "converters": dict.fromkeys(wanted, _as_is)}
    columns: list[str] = []
    rows = 0
    try:
        with file.opened() as opened, pd.read_csv(opened, keep_default_na=False, na_filter=False, **arguments) as parts:
            for part in parts:
                columns = [str(column) for column in part.columns]
                if not isinstance(part.index, pd.RangeIndex):
                    raise DataError(_advice(file, f"rows of more than {len(columns)} fields, as many as columns"))
                for name in set(wanted) & set(columns):
                    short = part[name].isna()
                    if short.any():
                        raise DataError(_advice(file, f"too few fields in row {rows + int(short.argmax())} (from 0)"))
                rows += len(part)
    except (ValueError, TypeError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"dataset.data_files: {file.shown} cannot be read as dataset.options say: {said}") from error
    if not rows:
        raise DataError(f"dataset.data_files: {file.shown} has no rows; add some, or leave the file out")
    return columns, rows


def _as_is(cell: Any) -> Any:
    return cell


def _advice(file: DataFile, problem: str) -> str:
    return f"dataset.data_files: {file.shown} has {problem}; correct it, or dataset.options"
