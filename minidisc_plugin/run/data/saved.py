"""Data sets of `save_to_disk`: their state says which files they are of, and other ones beside them are left over.

`datasets` leaves what `map` and `filter` made there, and shards of what was saved before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.files import local_files
from minidisc_plugin.run.data.folders import folder_of, is_format

_SPLITS, _STATE = "dataset_dict.json", "state.json"


def as_saved(settings: DatasetConfig) -> DatasetConfig:
    """The section with the files that `load_from_disk` would read, where its folder is one of `save_to_disk`.

    Raises:
        DataError: what stands there of splits and files cannot be read, or a file is missing.
    """
    folder = folder_of(settings)
    other = is_format(settings.path) and settings.path != "arrow"
    if folder is None or settings.data_files is not None or other:
        return settings
    if (folder / _SPLITS).is_file():
        parts = {str(name): folder / str(name) for name in _told(folder / _SPLITS).get("splits", ())}
    elif _listed(folder) is not None:
        parts = {settings.train_split: folder}
    else:
        return settings
    files = {split: [str(file) for file in _files(part)] for split, part in parts.items()}
    return settings.model_copy(update={"path": "arrow", "data_dir": None, "data_files": files})


def refuse_left_over(config: Any) -> None:
    """Refuse Arrow files beside a state that does not list them.

    Args:
        config: The loader's.

    Raises:
        DataError: names the file and the folder to give in its place.
    """
    for _, file in local_files(config):
        listed = _listed(file.parent)
        if listed is not None and file.name not in listed:
            raise DataError(
                f"dataset.data_files: {file} is none of the files that {_STATE} beside it lists, but a left-over or a "
                f"cache; set dataset.path to the folder that was saved, and remove data_files, or list others"
            )


def _files(part: Path) -> list[Path]:
    listed = _listed(part)
    if listed is None:
        raise DataError(f"dataset.path: {part} has no {_STATE} that lists its files; save the data set again")
    for name in listed:
        if not (part / name).is_file():
            raise DataError(
                f"dataset.path: {part / name} is listed in {_STATE} and is missing; save the data set again"
            )
    return [part / name for name in listed]


def _listed(folder: Path) -> Sequence[str] | None:
    """Names of the files of a split; None where no state lists any."""
    if not (folder / _STATE).is_file():
        return None
    files = _told(folder / _STATE).get("_data_files")
    return None if not isinstance(files, list) else [str(file["filename"]) for file in files]


def _told(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"dataset.path: {file} is no JSON ({error}); save the data set again") from error
    return told if isinstance(told, dict) else {}
