"""A finished run takes its place: its checkpoints go, and so does the run that it replaces."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from minidisc_plugin.contracts.output import CHECKPOINTS, JOURNAL_FILE, RECORD_FILE, REPLACEMENT
from minidisc_plugin.foundation.atomic import flush
from minidisc_plugin.run.directory.installing import empty_folder, install, keep, remove, remove_tree, unchanged
from minidisc_plugin.run.directory.record import read_record


def settle(place: Path) -> None:
    """Of a finished run: checkpoints go, and what it replaces goes; can be cut off and repeated at any moment."""
    replacement = place / REPLACEMENT
    new = read_record(replacement)
    if new is not None and new.finished:
        _drop_checkpoints(replacement)
        _drop_checkpoints(place)
        ours, changed = _recorded(place)
        install(replacement, place, new.files, ours)
        keep(place, changed - new.files.keys())
        remove(place, ours - new.files.keys())
        flush(place)
        empty_folder(replacement, but=RECORD_FILE)
        os.replace(replacement / RECORD_FILE, place / RECORD_FILE)
    with suppress(OSError):  # it is not there, or holds a run that goes on
        replacement.rmdir()
    held = read_record(place)
    if held is not None and held.finished:
        _drop_checkpoints(place)


def _recorded(place: Path) -> tuple[set[str], set[str]]:
    """Files of the run that is replaced: those that are as it left them, and those that somebody changed.

    One that was cut off may have recorded a file that it did not put there any more, so its files go by name.
    """
    old = read_record(place)
    if old is None:
        return set(), set()
    ours = unchanged(place, old.files) if old.finished else set(old.files)
    return ours, old.files.keys() - ours


def _drop_checkpoints(folder: Path) -> None:
    """Remove what a run left for itself; after its end a folder of that name, without a journal, is somebody's."""
    held = read_record(folder)
    if held is not None and held.finished and not (folder / CHECKPOINTS / JOURNAL_FILE).is_file():
        return
    remove_tree(folder / CHECKPOINTS, last=JOURNAL_FILE)
