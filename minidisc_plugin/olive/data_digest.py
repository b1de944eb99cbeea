"""A parameter of the pass that differs with the data: Olive's cache knows a pass by its parameters alone."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from pathlib import Path

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.digests import sha256_of
from minidisc_plugin.run.data.folders import folder_of
from minidisc_plugin.run.data.patterns import loader_arguments


def digest_of_data(dataset: DatasetConfig) -> str | None:
    """SHA-256 over the paths and the content of the files that lie on this machine; None where none does.

    Raises:
        DataError: a folder cannot be told to `datasets`.
        OSError: a file cannot be read.
    """
    files = sorted({path for path in _files(dataset) if path.is_file()})
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path} {sha256_of(path)}\n".encode())
    return digest.hexdigest() if files else None


def _files(dataset: DatasetConfig) -> Iterator[Path]:
    """Those that are named, where a run would look for them, and all in the folders that are."""
    base = folder_of(dataset) or Path(dataset.data_dir or ".")
    for name in _named(loader_arguments(dataset).get("data_files")):
        yield from map(Path, glob.glob(str(Path(glob.escape(str(base)), name)), recursive=True))
    for folder in (dataset.path, dataset.data_dir):
        if folder is not None and not dataset.data_files:
            yield from Path(folder).rglob("*")


def _named(files: object) -> Iterator[str]:
    if isinstance(files, str):
        yield files
    elif isinstance(files, dict):
        for part in files.values():
            yield from _named(part)
    elif isinstance(files, list):
        for part in files:
            yield from _named(part)
