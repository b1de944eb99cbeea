"""Names of data files: patterns where they match, and plain names where a file or folder of that very name is there."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.run.data.files import local_files
from minidisc_plugin.run.data.folders import folder_of, is_format

_KEYS = ("path", "name", "data_dir", "data_files", "revision", "cache_dir")

Given = str | Sequence[str] | Mapping[str, str | Sequence[str]]


def loader_arguments(settings: DatasetConfig) -> dict[str, Any]:
    """The section as `datasets` takes it, which would read `data[1]` as a pattern that matches `data1`.

    Raises:
        DataError: a folder cannot be told to `datasets` without it being taken for a pattern.
    """
    arguments = {key: value for key in _KEYS if (value := getattr(settings, key)) is not None}
    folder = folder_of(settings)
    if folder is None:
        return arguments
    if settings.data_files is not None:
        arguments["data_files"] = _literally(settings.data_files, folder)
    if not is_format(settings.path):
        arguments["path"] = os.path.abspath(settings.path)  # "." has no name to call the data set by
    if _has_signs(folder):
        arguments |= _of_odd_folder(settings, folder)
    return arguments


def refuse_unmatched(settings: DatasetConfig, found: Mapping[str, Sequence[str]]) -> None:
    """Refuse a name for which there is no file.

    Args:
        settings: The config's section.
        found: The files of each split.

    Raises:
        DataError: names the key, the name and the split.
    """
    for split in (split for split, files in found.items() if not files):
        key, names = _given(settings, split)
        raise DataError(f"{key}: {shown(names)} matches no file; give the path of one, or a pattern that does")


def refuse_repeated(settings: DatasetConfig, found: Mapping[str, Sequence[str]]) -> None:
    """Refuse a file that stands in a split twice, by whatever names: its examples would count twice.

    Args:
        settings: The config's section.
        found: The files of each split.

    Raises:
        DataError: names the key, the file and the split.
    """
    for split, files in found.items():
        names: dict[str, str] = {}
        for name in map(str, files):
            file = os.path.realpath(name) if Path(name).is_file() else name
            if file in names:
                alias = "" if names[file] == name else f", the second time as {name}"
                raise DataError(
                    f"{_given(settings, split)[0]}: {names[file]} stands in split {str(split)!r} twice{alias}; give "
                    "each file once"
                )
            names[file] = name


def refuse_strays(settings: DatasetConfig, config: Any) -> None:
    """Refuse files of another folder than the one that is given.

    Args:
        settings: The config's section.
        config: The loader's.

    Raises:
        DataError: names the file and the folder.
    """
    folder = folder_of(settings)
    if folder is None or settings.data_files is not None:
        return
    for _, file in local_files(config):
        if not Path(os.path.normpath(file)).is_relative_to(folder):
            key = "dataset.data_dir" if is_format(settings.path) else "dataset.path"
            raise DataError(f"{key}: {file} would be read, which is not in {folder}; name the files by data_files")


def _of_odd_folder(settings: DatasetConfig, folder: Path) -> dict[str, str]:
    """A folder that holds signs of a pattern, as one below another that holds none."""
    if is_format(settings.path):
        return {"data_dir": glob.escape(str(folder))}
    above = next(parent for parent in folder.parents if not _has_signs(parent))
    if not above.name or _has_card(Path(settings.path)):
        raise DataError(
            f"dataset.path: {settings.path!r} has one of the signs *, ? and [ in its path, which `datasets` takes for "
            "a pattern where there is a card beside the data, or no folder above; rename the folder"
        )
    return {"path": str(above), "data_dir": glob.escape(str(folder.relative_to(above)))}


def _given(settings: DatasetConfig, split: str) -> tuple[str, Any]:
    """The key that says what a split is made of, and its value."""
    given = settings.data_files
    if isinstance(given, Mapping):
        return f"dataset.data_files.{split}", given.get(str(split))
    return "dataset.data_files", given


def _literally(given: Given, folder: Path) -> Any:
    if isinstance(given, Mapping):
        return {split: _literally(names, folder) for split, names in given.items()}
    if not isinstance(given, str):
        return [_literally(name, folder) for name in given]
    whole = folder / given
    if "://" in given or not _has_signs(whole):
        return given
    there = next(path for path in (whole, *whole.parents) if path.exists())
    return str(Path(glob.escape(str(there)), whole.relative_to(there)))


def _has_signs(path: Path) -> bool:
    return glob.has_magic(str(path))


def _has_card(folder: Path) -> bool:
    """Whether a folder says of itself what its data are."""
    card = folder / "README.md"
    told = card.is_file() and card.read_bytes().lstrip(b"\xef\xbb\xbf").startswith(b"---")
    return told or (folder / ".huggingface.yaml").is_file()
