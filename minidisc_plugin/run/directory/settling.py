"""A finished run takes its place: its checkpoints go, and so does the run that it replaces."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from minidisc_plugin.contracts.output import CHECKPOINTS, JOURNAL_FILE, RECORD_FILE, REPLACEMENT
from minidisc_plugin.foundation.atomic import flush
from minidisc_plugin.run.directory.installing import empty_folder, install, remove, remove_tree
from minidisc_plugin.run.directory.record import read_record


def settle(place: Path) -> None:
    """Of a finished run: checkpoints go, and what it replaces goes; can be cut off and repeated at any moment."""
    replacement = place / REPLACEMENT
    new = read_record(replacement)
    if new is not None and new.finished:
        _drop_checkpoints(replacement)
        _drop_checkpoints(place)
        old = read_record(place)
        ours = old.files if old else {}
        install(replacement, place, new.files, ours)
        remove(place, ours.keys() - new.files.keys())
        flush(place)
        empty_folder(replacement, but=RECORD_FILE)
        os.replace(replacement / RECORD_FILE, place / RECORD_FILE)
    with suppress(OSError):  # it is not there, or holds a run that goes on
        replacement.rmdir()
    held = read_record(place)
    if held is not None and held.finished:
        _drop_checkpoints(place)


def _drop_checkpoints(folder: Path) -> None:
    """Remove what a run left for itself; after its end a folder of that name, without a journal, is somebody's."""
    held = read_record(folder)
    if held is not None and held.finished and not (folder / CHECKPOINTS / JOURNAL_FILE).is_file():
        return
    remove_tree(folder / CHECKPOINTS, last=JOURNAL_FILE)
