"""The folder in which the files of a data set are looked for: names and patterns are relative to it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from minidisc_plugin.contracts.dataset import DatasetConfig


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
