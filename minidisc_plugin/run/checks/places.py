"""Folders of a config that a run writes to: refused before anything is loaded where they cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.disks import existing, hugging_face_caches, shown
from minidisc_plugin.foundation.errors import ConfigError

# Bytes of the longest path that a run makes in a folder, with some to spare for plug-ins.
_DEEPEST = 200
_LONGEST = 4096


def check_places(config: CompressionConfig) -> None:
    """Refuse folders in which a run could not write its files.

    Raises:
        ConfigError: names the key, the folder and the remedy.
    """
    _check_length("output_dir", config.output_dir)
    _check_caches(config)
    cache = config.engine.teacher_cache_dir
    if cache is None or config.engine.teacher_cache is False:
        return
    key = "engine.teacher_cache_dir"
    _check_length(key, cache)
    place = existing(cache)
    if not place.is_dir():
        raise ConfigError(f"{key}: {shown(cache)} cannot be made, for {shown(place)} is a file; give another folder")
    # One that is there may hold what the run needs, and be read only.
    if place != Path(cache).absolute() and not os.access(place, os.W_OK):
        raise ConfigError(
            f"{key}: {shown(cache)} cannot be made, for {shown(place)} cannot be written to; give another folder"
        )


def _check_caches(config: CompressionConfig) -> None:
    """A run that found a cache in its folder would take it for somebody else's files, or remove it with its own."""
    output = Path(config.output_dir).resolve()
    engine = config.engine
    caches: dict[str, str | Path | None] = {
        "dataset.cache_dir": config.dataset.cache_dir,
        "engine.teacher_cache_dir": None if engine.teacher_cache is False else engine.teacher_cache_dir,
        **hugging_face_caches(),
    }
    for key, folder in caches.items():
        if folder is not None and Path(folder).resolve().is_relative_to(output):
            raise ConfigError(
                f"{key}: {shown(folder)} lies in output_dir ({shown(config.output_dir)}), which is for what the run "
                "writes; give a folder outside of it"
            )


def _check_length(key: str, folder: str) -> None:
    whole = len(os.fsencode(Path(folder).absolute()))
    if whole + _DEEPEST > _LONGEST:
        raise ConfigError(
            f"{key}: {shown(folder)} has {whole} bytes, and what is written there would have paths of more than "
            f"{_LONGEST}; give a shorter one"
        )
