"""CSV files: every cell as the text that it is, and no row or column lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.foundation.packed_files import DataFile
from minidisc_plugin.run.data.columns import common_columns
from minidisc_plugin.run.data.csv_numbers import number_reader
from minidisc_plugin.run.data.csv_rows import check_rows
from minidisc_plugin.run.data.csv_trial import try_rows

_TABBED = (".tsv", ".tab")


def is_csv(config: Any) -> bool:
    """Whether a loader's config is that of CSV files."""
    from datasets.packaged_modules.csv.csv import CsvConfig

    return isinstance(config, CsvConfig)


def csv_options(
    settings: DatasetConfig, config: Any, options: Mapping[str, Any], files: Mapping[str, Sequence[DataFile]]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Options by which the loader reads cells as text, tabs between them where files are called so.

    Args:
        settings: The config's section.
        config: The loader's.
        options: The user's, all known to the loader.
        files: Of each split.

    Returns:
        The options, and how many rows each split has.

    Raises:
        ConfigError: an option keeps files from being checked.
        DataError: a file is not what these options say; the message names file, line and remedy.
    """
    options = {**options}
    if not {"sep", "delimiter"} & options.keys() and (separator := _separator(config)):
        options["sep"] = separator
    odd = _odd_key(options)
    if odd is not None:
        if options.get("engine") == "c":
            raise ConfigError(f"dataset.options.engine: c fills up short rows beside dataset.options.{odd}; remove it")
        options["engine"] = "python"  # which tells a short row from one with an empty cell
    check = check_rows if odd is None else try_rows
    headers: dict[str, list[str]] = {}
    rows = dict.fromkeys(files, 0)
    for split, listed in files.items():
        for file in listed:
            headers[file.shown], count = check(file, settings, options)
            rows[split] += count
    common = common_columns(settings, headers)
    # A function keeps pandas from guessing, and no value counts as missing: not "NA", not "None", not "".
    width = max(map(len, headers.values()), default=0)
    read: dict[Any, Any] = dict.fromkeys(common or range(width) or [*settings.inputs, settings.label], str)
    if {"decimal", "thousands"} & options.keys():  # of numbers, so of the label
        if settings.label not in settings.inputs:
            read |= dict.fromkeys(_places(settings.label, options), number_reader(options))
        options |= {"decimal": ".", "thousands": None}  # pandas would look for them in texts, too
    if common is not None:
        options["usecols"] = common
    return {**options, "converters": read, "keep_default_na": False, "na_filter": False}, rows


def _places(column: str, options: Mapping[str, Any]) -> list[str | int]:
    """What pandas calls a column: its place, too, where a file has no names."""
    named = options.get("names") or options.get("column_names") or options.get("header", "infer") is not None
    return [column] if named or not column.isdecimal() else [column, int(column)]


def check_counts(rows: Mapping[str, int], found: Mapping[str, Sequence[Any]]) -> None:
    """Refuse splits of which the loader lost or made up rows: it took lines for others than they are.

    Raises:
        DataError: names the split and both numbers.
    """
    for split, count in rows.items():
        if len(found.get(split, ())) != count:
            raise DataError(
                f"dataset.data_files: the files of split {split!r} have {count} rows, and pandas read "
                f"{len(found.get(split, ()))} of them; correct dataset.options, or write the files without them"
            )


def _odd_key(options: Mapping[str, Any]) -> str | None:
    """An option that gives files a form which only pandas reads."""
    for key in ("sep", "delimiter"):
        if len(options.get(key, ",")) > 1:
            return key
    if isinstance(options.get("skiprows"), list):
        return "skiprows"
    if options.get("on_bad_lines", "error") != "error":
        return "on_bad_lines"
    return "dialect" if options.get("dialect") else None


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
