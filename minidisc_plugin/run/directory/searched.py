"""What a run keeps of its search for a student that is good enough: with another `max_loss` it goes on from there.

In the checkpoints lies the journal as it was when the search ended, and beside it the weights of its stages; a finished
run has both in a folder of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from minidisc_plugin.contracts.output import CHECKPOINTS, JOURNAL_FILE, SEARCH
from minidisc_plugin.foundation.atomic import write_bytes
from minidisc_plugin.run.directory.installing import remove_tree

OF_A_SEARCH_ENDED = "journal-of-search.json"
_WEIGHTS = ("ranking.safetensors", "*/weights.safetensors")


def remember_search(checkpoints: Path) -> None:
    """Keep the journal as it is: what comes later is made of the student that was found."""
    write_bytes(checkpoints / OF_A_SEARCH_ENDED, (checkpoints / JOURNAL_FILE).read_bytes())


def keep_search(checkpoints: Path, folder: Path) -> None:
    """Put what an ended search left there into a folder, which is made."""
    folder.mkdir(parents=True)
    for file in _weights(checkpoints):
        _link(checkpoints / file, folder / file)
    shutil.copyfile(checkpoints / OF_A_SEARCH_ENDED, folder / JOURNAL_FILE)


def take_up_search(root: Path) -> None:
    """Go back to where the search of a run ended, so that it goes on for another `max_loss`.

    What is left of it no more, as where somebody removed it, is made anew.
    """
    checkpoints, kept = root / CHECKPOINTS, root / SEARCH
    if (checkpoints / OF_A_SEARCH_ENDED).is_file():
        write_bytes(checkpoints / JOURNAL_FILE, (checkpoints / OF_A_SEARCH_ENDED).read_bytes())
    elif (kept / JOURNAL_FILE).is_file() and not (checkpoints / JOURNAL_FILE).is_file():
        remove_tree(checkpoints)
        checkpoints.mkdir()
        for file in _weights(kept):
            _link(kept / file, checkpoints / file)
        write_bytes(checkpoints / JOURNAL_FILE, (kept / JOURNAL_FILE).read_bytes())


def _weights(folder: Path) -> Iterator[Path]:
    """Of the ranking, and of stages."""
    for pattern in _WEIGHTS:
        for file in folder.glob(pattern):
            yield file.relative_to(folder)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the file system has no such thing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
