"""CSV files read ahead, strictly: a row with too few or too many fields is named by its line."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.packed_files import DataFile
from minidisc_plugin.foundation.text_files import encoding_of

_OTHER_SEPARATORS = "\t;|,"


def check_rows(file: DataFile, settings: DatasetConfig, options: Mapping[str, Any]) -> tuple[list[str], int]:
    """Read a file strictly; returns its columns, and how many rows it has.

    Args:
        file: The file.
        settings: The config's section.
        options: Of pandas' reader, its separator a single character.

    Raises:
        DataError: it is not what the options say; the message names file, line and remedy.
    """
    separator = str(options.get("sep") or options.get("delimiter") or ",")
    dialect = {
        "delimiter": separator,
        "quotechar": options.get("quotechar", '"'),
        "quoting": options.get("quoting", csv.QUOTE_MINIMAL),
        "doublequote": options.get("doublequote", True),
        "escapechar": options.get("escapechar"),
        "skipinitialspace": options.get("skipinitialspace", False),
    }
    encoding = encoding_of(options)
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    errors = options.get("encoding_errors") or "strict"
    skipped = options.get("skiprows") or 0
    with (
        _long_fields(),
        file.opened() as raw,
        io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="") as text,
    ):
        rows = csv.reader(_lines(text, options), strict=True, **dialect)
        try:
            return _check(rows, skipped, file, settings, {**options, "sep": separator})
        except csv.Error as error:
            raise DataError(
                f"dataset.data_files: line {skipped + rows.line_num} of {file.shown} has quotes that do not match "
                f"({error}); correct it, or set dataset.options.quoting to 3 where quotes are part of the texts"
            ) from error


def _check(
    rows: Any, skipped: int, file: DataFile, settings: DatasetConfig, options: Mapping[str, Any]
) -> tuple[list[str], int]:
    blank = not options.get("skip_blank_lines", True)
    header, data = _header((row for row in rows if row or blank), options)
    _check_header(file.shown, header, options["sep"], settings)
    count = 0
    for row in islice(data, options.get("nrows")):
        if len(row) != len(header) and (row or len(header) > 1):
            fields, columns = _counted(len(row), "field"), _counted(len(header), "column")
            raise DataError(
                f"dataset.data_files: line {skipped + rows.line_num} of {file.shown} has {fields}, beside "
                f"{columns}; put texts that hold the separator {options['sep']!r} in quotes, or set "
                "dataset.options.sep"
            )
        count += 1
    if not count:
        raise DataError(f"dataset.data_files: {file.shown} has no rows; add some, or leave the file out")
    return header, count


def _header(rows: Iterator[list[str]], options: Mapping[str, Any]) -> tuple[list[str], Iterator[list[str]]]:
    """Names of columns, and the rows of data."""
    names = options.get("column_names") or options.get("names")
    place = options.get("header", "infer")
    if place == "infer":
        place = None if names else 0
    above = [] if place is None else list(islice(rows, place + 1))
    if names:
        return list(names), rows
    if place is not None:
        return above[place] if len(above) > place else [], rows
    first = next(rows, [])
    return [str(column) for column in range(len(first))], chain([first], rows)  # as pandas calls them


def _check_header(shown: str, header: list[str], separator: str, settings: DatasetConfig) -> None:
    if not header:
        raise DataError(f"dataset.data_files: {shown} is empty; give rows under a line of column names")
    wanted = [*settings.inputs, settings.label]
    for name, times in Counter(header).items():
        if times > 1 and name in wanted:
            raise DataError(f"dataset.data_files: {shown} has {times} columns {name!r}; rename all but one")
    others = [other for other in _OTHER_SEPARATORS if other != separator and other in header[0]]
    if len(header) == 1 and header[0] not in wanted and others:
        raise DataError(
            f"dataset.data_files: {shown} has a single column, {header[0]!r}; where its cells are separated by "
            f"{others[0]!r}, set dataset.options.sep to it"
        )


def _lines(text: io.TextIOBase, options: Mapping[str, Any]) -> Iterable[str]:
    """Lines as pandas takes them: ended by a character of the user's, some skipped, without comments."""
    lines: Iterable[str] = text
    if end := options.get("lineterminator"):
        lines = (" ".join(line.splitlines()) + "\n" for line in text.read().split(end))
    lines = islice(lines, options.get("skiprows") or 0, None)
    if mark := options.get("comment"):
        return _without_comments(lines, mark, options.get("quotechar", '"'))
    return lines


def _without_comments(lines: Iterable[str], mark: str, quote: str) -> Iterator[str]:
    inside = False  # of quotes
    for line in lines:
        cut = len(line)
        for place, character in enumerate(line):
            if character == quote:
                inside = not inside
            elif character == mark and not inside:
                cut = place
                break
        if cut:
            yield line if cut == len(line) else line[:cut] + "\n"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let cells be as long as they are; Python's reader stops at 131,072 characters."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
