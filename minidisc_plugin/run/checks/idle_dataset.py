"""Keys of the section `dataset` that do nothing beside others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.run.data.folders import is_format


def refused_of_dataset(settings: DatasetConfig) -> Iterator[str]:
    """Keys of data sets on the Hub, beside a format or a folder: another data set than was meant would be read."""
    if settings.revision is None and settings.name is None:
        return
    kind = f"the format {settings.path}" if is_format(settings.path) else "a folder"
    if settings.revision is not None and (kind != "a folder" or Path(settings.path).is_dir()):
        yield f"dataset.revision: does nothing beside {kind}, which has no versions; remove it"
    if settings.name is not None and kind != "a folder":
        yield f"dataset.name: does nothing beside {kind}, which has no configurations; remove it"


def said_of_dataset(settings: DatasetConfig) -> Iterator[str]:
    """Keys that change nothing."""
    given = settings.data_files
    if settings.data_dir is None or given is None or not is_format(settings.path):
        return
    listed = chain.from_iterable(
        [files] if isinstance(files, str) else files
        for files in (given.values() if isinstance(given, dict) else [given])
    )
    if all(Path(file).is_absolute() or "://" in file for file in listed):
        yield "dataset.data_dir does nothing beside dataset.data_files whose paths are absolute"
