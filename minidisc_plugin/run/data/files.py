"""Files of a data set as they lie on this machine, those of the network among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import DatasetConfig
from minidisc_plugin.foundation.packed_files import TextFile, text_files

if TYPE_CHECKING:
    from datasets import DatasetBuilder


def local_files(config: Any) -> Iterator[tuple[str, Path]]:
    """Split and path of every file of a loader's config that lies on this machine."""
    for split, files in (config.data_files or {}).items():
        for path in map(Path, files):
            if path.is_file():
                yield str(split), path


def texts_of(settings: DatasetConfig, builder: DatasetBuilder) -> dict[str, list[TextFile]]:
    """Text files of each split; those of the network are downloaded to where the loader looks for them.

    Raises:
        DataError: one is packed in a way that cannot be read.
    """
    found: dict[str, list[TextFile]] = {}
    for split, files in (builder.config.data_files or {}).items():
        for file in map(str, files):
            path = Path(file) if Path(file).is_file() else _downloaded(file, settings, builder)
            found.setdefault(str(split), []).extend(text_files(path, file))
    return found


def _downloaded(file: str, settings: DatasetConfig, builder: DatasetBuilder) -> Path:
    from datasets import DownloadConfig, DownloadManager

    place = {} if settings.cache_dir is None else {"cache_dir": str(Path(settings.cache_dir) / "downloads")}
    manager = DownloadManager(
        dataset_name=builder.dataset_name,
        base_path=builder.base_path,
        download_config=DownloadConfig(token=builder.token, storage_options=builder.storage_options, **place),
    )
    return Path(manager.download(file))
