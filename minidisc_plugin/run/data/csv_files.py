"""CSV files: every cell as the text that it is, and no row or column lost on the way."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minidisc_plugin.contracts.config import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.text_files import encoding_of, plain_files

_TABBED = (".tsv", ".tab")
_OTHER_SEPARATORS = "\t;|,"
# Files whose options are all among these are read ahead as a whole; others have a form of their own.
_PLAIN = {
    "sep",
    "delimiter",
    "quotechar",
    "quoting",
    "doublequote",
    "escapechar",
    "skipinitialspace",
    "encoding",
    "column_names",
    "names",
    "chunksize",
    "engine",
    "float_precision",
    "memory_map",
    "decimal",
    "thousands",
}


def is_csv(config: Any) -> bool:
    """Whether a loader's config is that of CSV files."""
    from datasets.packaged_modules.csv.csv import CsvConfig

    return isinstance(config, CsvConfig)


def csv_options(settings: DatasetConfig, config: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by which the loader reads cells as text, tabs between them where files are called so.

    Args:
        settings: The config's section.
        config: The loader's.
        options: The user's, all known to the loader.

    Raises:
        DataError: a file is not what these options say; the message names file, line and remedy.
    """
    options = {**options}
    if not {"sep", "delimiter"} & options.keys() and (separator := _separator(config)):
        options["sep"] = separator
    widths = (
        [_check_file(path, settings, options) for _, path in plain_files(config)] if options.keys() <= _PLAIN else []
    )
    # A function keeps pandas from guessing, and no value counts as missing: not "NA", not "None", not "".
    text = dict.fromkeys(range(max(widths, default=0)) or [*settings.text, settings.label], str)
    if {"decimal", "thousands"} & options.keys():  # of numbers, so of the label
        text = dict.fromkeys(settings.text, str)
    return {**options, "converters": text, "keep_default_na": False, "na_filter": False}


def _separator(config: Any) -> str | None:
    """The tab, where all files are named so."""
    names = [str(file) for files in (config.data_files or {}).values() for file in files]
    tabbed = [name for name in names if any(suffix.lower() in _TABBED for suffix in Path(name).suffixes[-2:])]
    if tabbed and len(tabbed) < len(names):
        other = next(name for name in names if name not in tabbed)
        raise DataError(
            f"dataset.data_files: {tabbed[0]} is named as separated by tabs and {other} is not; give files of one "
            "kind, or set dataset.options.sep"
        )
    return "\t" if tabbed else None


def _check_file(path: Path, settings: DatasetConfig, options: Mapping[str, Any]) -> int:
    """Read a file strictly; returns its number of columns."""
    separator = str(options.get("sep") or options.get("delimiter") or ",")
    names = options.get("column_names") or options.get("names")
    if len(separator) != 1:
        return 0
    dialect = {
        "delimiter": separator,
        "quotechar": options.get("quotechar", '"'),
        "quoting": options.get("quoting", csv.QUOTE_MINIMAL),
        "doublequote": options.get("doublequote", True),
        "escapechar": options.get("escapechar"),
        "skipinitialspace": options.get("skipinitialspace", False),
    }
    encoding = encoding_of(options)
    with _long_fields(), path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        rows = csv.reader(file, strict=True, **dialect)
        try:
            header = list(names) if names else next((row for row in rows if row), [])
            _check_header(path, header, separator, settings)
            for row in rows:
                if row and len(row) != len(header):
                    fields = f"{len(row)} field{'s' if len(row) > 1 else ''}"
                    raise DataError(
                        f"dataset.data_files: line {rows.line_num} of {path} has {fields}, and there are "
                        f"{len(header)} columns; put texts that hold the separator {separator!r} in quotes, or set "
                        "dataset.options.sep"
                    )
        except csv.Error as error:
            raise DataError(
                f"dataset.data_files: line {rows.line_num} of {path} has quotes that do not match ({error}); correct "
                "it, or set dataset.options.quoting to 3 where quotes are part of the texts"
            ) from error
    return len(header)


def _check_header(path: Path, header: list[str], separator: str, settings: DatasetConfig) -> None:
    if not header:
        raise DataError(f"dataset.data_files: {path} is empty; give rows under a line of column names")
    wanted = [*settings.text, settings.label]
    for name, times in Counter(header).items():
        if times > 1 and name in wanted:
            raise DataError(f"dataset.data_files: {path} has {times} columns {name!r}; rename all but one")
    others = [other for other in _OTHER_SEPARATORS if other != separator and other in header[0]]
    if len(header) == 1 and header[0] not in wanted and others:
        raise DataError(
            f"dataset.data_files: {path} has a single column, {header[0]!r}; where its cells are separated by "
            f"{others[0]!r}, set dataset.options.sep to it"
        )


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let cells be as long as they are; Python's reader stops at 131,072 characters."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
