"""Names of data files: patterns where they match, and plain names where a file of that very name is there."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import shown

_MAGIC = set("*?[")

Given = str | Sequence[str] | Mapping[str, str | Sequence[str]]


def literally(given: Given, folder: str | None) -> Any:
    """`dataset.data_files` as `datasets` takes it, which would read `tr[1].csv` as a pattern that matches `tr1.csv`.

    Args:
        given: As in the config.
        folder: Which relative names are relative to; None is the working directory.
    """
    if isinstance(given, Mapping):
        return {split: literally(names, folder) for split, names in given.items()}
    if not isinstance(given, str):
        return [literally(name, folder) for name in given]
    is_there = bool(_MAGIC & set(given)) and Path(folder or ".", given).is_file()
    return glob.escape(given) if is_there else given


def refuse_unmatched(settings: DatasetConfig, found: Mapping[str, Sequence[str]]) -> None:
    """Refuse a name for which there is no file.

    Args:
        settings: The config's section.
        found: The files of each split.

    Raises:
        DataError: names the key, the name and the split.
    """
    given = settings.data_files
    for split in (split for split, files in found.items() if not files):
        names = given.get(str(split)) if isinstance(given, Mapping) else given
        key = f"dataset.data_files.{split}" if isinstance(given, Mapping) else "dataset.data_files"
        raise DataError(f"{key}: {shown(names)} matches no file; give the path of one, or a pattern that does")
