"""Rows of JSON files as they stand: text that looks like a date or a number stays text.

The loader of `datasets` guesses dates, and writes them in another form; Python's reader guesses nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NoReturn

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.packed_files import DataFile

_ONE_OBJECT = (
    "write a list of objects, or one object a line, or name the field that holds them by dataset.options.field"
)


def json_rows(file: DataFile, encoding: str, errors: str | None, field: str | None) -> Iterator[dict[str, Any]]:
    """Every row of a file: of a list, of objects one a line, or of columns.

    Args:
        file: Is read from its beginning.
        encoding: Of its text.
        errors: What to do about bytes that are no text, as `open` takes it.
        field: What holds the rows; None where the file does.

    Raises:
        DataError: it is no such JSON; the message names the file and the line or the row.
    """
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    with file.opened() as raw, io.TextIOWrapper(raw, encoding=encoding, errors=errors or "strict") as text:
        if field is not None:
            held = _parsed(text.read(), file, 1)
            if not isinstance(held, dict) or field not in held:
                there = ", ".join(held) if isinstance(held, dict) else "it is no object"
                raise DataError(f"dataset.options.field: {file.shown} has no field {field!r}; fields: {there}")
            yield from _rows_of(held[field], file)
            return
        before, first = 0, text.readline()
        while first and not first.strip():
            before, first = before + 1, text.readline()
        if not first:
            return
        if first.lstrip().startswith("[") or not _is_whole(first):
            yield from _rows_of(_parsed(first + text.read(), file, before + 1), file)
            return
        row = 0
        for number, line in enumerate(chain([first], text), before + 1):
            if line.strip():
                yield _row(_parsed(line, file, number), file, row)
                row += 1


def _is_whole(line: str) -> bool:
    """Whether a line is JSON for itself, duplicate keys aside."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _parsed(text: str, file: DataFile, line: int) -> Any:
    """What a text says that begins in a line."""

    def pairs(found: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(found)
        if len(made) < len(found):
            keys = [key for key, _ in found]
            twice = next(key for key in keys if keys.count(key) > 1)
            where = f"line {line}" if text.count("\n") < 2 else "an object"
            raise DataError(f"dataset.data_files: {where} of {file.shown} has the key {twice!r} twice; remove one")
        return made

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise DataError(
            f"dataset.data_files: line {line + error.lineno - 1} of {file.shown} is not JSON ({error.msg}, column "
            f"{error.colno}); correct it, or is it cut off?"
        ) from error
    except RecursionError as error:
        raise DataError(f"dataset.data_files: {file.shown} is nested too deep; correct it") from error


def _rows_of(held: Any, file: DataFile) -> Iterator[dict[str, Any]]:
    """Rows of a list of objects or of texts, or of columns, each a list or an object by row."""
    if isinstance(held, list):
        for row, value in enumerate(held):
            yield {"text": value} if isinstance(value, str) else _row(value, file, row)
        return
    columns = held if isinstance(held, dict) else {}
    keys = {tuple(column) if isinstance(column, dict) else _length(column) for column in columns.values()}
    if len(keys) != 1 or None in keys:
        raise DataError(f"dataset.data_files: {file.shown} holds no rows; {_ONE_OBJECT}")
    values = [list(column.values()) if isinstance(column, dict) else column for column in columns.values()]
    for cells in zip(*values, strict=True):
        yield dict(zip(columns, cells, strict=True))


def _length(column: Any) -> int | None:
    return len(column) if isinstance(column, list) else None


def _row(value: Any, file: DataFile, row: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse_row(value, file, row)
    return value


def _refuse_row(value: Any, file: DataFile, row: int) -> NoReturn:
    shown = json.dumps(value)
    shown = shown if len(shown) < 40 else f"{shown[:40]} ..."
    raise DataError(f"dataset.data_files: row {row} (from 0) of {file.shown} is {shown} and no object; {_ONE_OBJECT}")
