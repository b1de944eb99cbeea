"""Files of a data set as they lie on this machine, those of the network among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.packed_files import DataFile, packed_in

if TYPE_CHECKING:
    from datasets import DatasetBuilder


def local_files(config: Any) -> Iterator[tuple[str, Path]]:
    """Split and path of every file of a loader's config that lies on this machine."""
    for split, files in (config.data_files or {}).items():
        for path in map(Path, files):
            if path.is_file():
                yield str(split), path


def files_of(settings: DatasetConfig, builder: DatasetBuilder) -> dict[str, list[DataFile]]:
    """Files of each split; those of the network are downloaded to where the loader looks for them.

    Raises:
        DataError: one is packed in a way that cannot be read.
    """
    from datasets import DownloadConfig, DownloadManager

    place = {} if settings.cache_dir is None else {"cache_dir": str(Path(settings.cache_dir) / "downloads")}
    manager = DownloadManager(
        dataset_name=builder.dataset_name,
        base_path=builder.base_path,
        download_config=DownloadConfig(token=builder.token, storage_options=builder.storage_options, **place),
    )
    listed = {str(split): [str(file) for file in files] for split, files in (builder.config.data_files or {}).items()}
    remote = sorted({file for files in listed.values() for file in files if not Path(file).is_file()})
    found = dict(zip(remote, manager.download(remote), strict=True)) if remote else {}
    return {
        split: [part for file in files for part in packed_in(Path(found.get(file, file)), file)]
        for split, files in listed.items()
    }
