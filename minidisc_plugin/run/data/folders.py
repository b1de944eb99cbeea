"""The folder in which the files of a data set are looked for: names and patterns are relative to it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError


def is_format(path: str) -> bool:
    """Whether `datasets` takes a path for one of its own loaders."""
    return path.isidentifier() and find_spec(f"datasets.packaged_modules.{path}") is not None


def folder_of(settings: DatasetConfig) -> Path | None:
    """The folder, without links on the way to it; None for data sets of the Hub and elsewhere on the network."""
    if "://" in (settings.data_dir or ""):
        return None
    if is_format(settings.path):
        return Path(settings.data_dir or ".").resolve()
    folder = Path(settings.path)
    return Path(folder, settings.data_dir or "").resolve() if folder.is_dir() else None


def public_name(settings: DatasetConfig) -> str:
    """What a model card calls the data: a format of files is no data set of the Hub."""
    return settings.data_dir or f"{settings.path} files" if is_format(settings.path) else settings.path


def refuse_file(settings: DatasetConfig) -> None:
    """Refuse a file where a folder, a name or a format belongs.

    Args:
        settings: The config's section.

    Raises:
        DataError: says what to give in its place.
    """
    from datasets.packaged_modules import _EXTENSION_TO_MODULE

    file = Path(settings.path)
    if is_format(settings.path) or not file.is_file():
        return
    kinds = [_EXTENSION_TO_MODULE[end.lower()][0] for end in file.suffixes if end.lower() in _EXTENSION_TO_MODULE]
    kind = kinds[-1] if kinds else "its format, such as csv"
    raise DataError(
        f"dataset.path: {settings.path!r} is a file; set path to {kind}, and data_files to files by split, such as "
        f"{{train: {file}}}"
    )
