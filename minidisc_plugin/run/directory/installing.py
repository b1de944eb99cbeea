"""Put files that are whole into a directory, in place of earlier ones; what is somebody else's is never lost."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from minidisc_plugin.foundation.digests import damage_of

logger = logging.getLogger(__name__)


def install(source: Path, target: Path, files: Iterable[str], ours: Collection[str]) -> None:
    """Move files to the same paths in another folder of the same filesystem.

    A file that was moved before is passed over, so a call that was cut off can be repeated. A link in the way is
    replaced, and never followed; a file or folder of somebody else's in the way is kept under another name.

    Args:
        source: Where they are.
        target: Where they go.
        files: Paths in both.
        ours: Paths in `target` that may be replaced.
    """
    for name in files:
        if not os.path.lexists(source / name):
            continue
        for parent in _parents(name):
            _clear_for_folder(target, parent, ours)
        destination = target / name
        if not destination.is_symlink() and (destination.is_dir() or (destination.exists() and name not in ours)):
            _keep(destination)
        os.replace(source / name, destination)


def unchanged(folder: Path, files: Mapping[str, str]) -> set[str]:
    """Paths whose files have the SHA-256 they were recorded with, or are gone; what a link leads to is not read."""
    return {name for name, digest in files.items() if _behind_link(folder, name) or _is(folder / name, digest)}


def keep(folder: Path, files: Iterable[str]) -> None:
    """Keep files under other names, where they are there; nothing behind a link."""
    for name in files:
        if not _behind_link(folder, name) and (folder / name).is_file():
            _keep(folder / name)


def remove(folder: Path, files: Iterable[str]) -> None:
    """Remove files, and the folders that are empty then; nothing behind a link."""
    gone = list(files)
    for name in gone:
        if _behind_link(folder, name):
            continue
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            (folder / name).unlink()
    folders = {parent for name in gone for parent in _parents(name)}
    for parent in sorted(folders, key=len, reverse=True):
        if not (folder / parent).is_symlink():
            with suppress(OSError):  # not empty, or not there
                (folder / parent).rmdir()


def remove_tree(folder: Path, last: str | None = None) -> None:
    """Remove a folder, or a link in its place; the file `last` goes after all others, so that it tells of the rest."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.is_dir():
        empty_folder(folder, but=last)
        shutil.rmtree(folder)


def empty_folder(folder: Path, but: str | None = None) -> None:
    """Remove what a folder holds, but for one file."""
    for path in folder.iterdir():
        if path.name != but:
            remove_tree(path)


def files_below(path: Path) -> Iterator[str]:
    """Paths below a folder, sorted and with slashes; "" for a file itself."""
    if path.is_file():
        yield ""
        return
    for found in sorted(path.rglob("*")):
        if found.is_file() or found.is_symlink():
            yield found.relative_to(path).as_posix()


def _clear_for_folder(target: Path, name: str, ours: Collection[str]) -> None:
    path = target / name
    if path.is_symlink() or (path.is_file() and name in ours):
        path.unlink()
    elif path.is_file():
        _keep(path)
    path.mkdir(exist_ok=True)


def _keep(path: Path) -> None:
    """Move what no run wrote, or what was changed since, out of the way."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.kept-{number}")):
        number += 1
    logger.warning("%s is not what a run wrote there, and would be in the way; it is kept as %s", path, aside.name)
    os.replace(path, aside)


def _is(path: Path, digest: str) -> bool:
    """Whether a file is the recorded one, or none is there; a link is no content of anybody's."""
    try:
        return path.is_symlink() or damage_of(path, digest) != "damaged"
    except PermissionError:  # a run can read what it wrote
        return False


def _behind_link(folder: Path, name: str) -> bool:
    return any((folder / parent).is_symlink() for parent in _parents(name))


def _parents(name: str) -> list[str]:
    """Folders on the way to a path, from the outermost."""
    return [parent.as_posix() for parent in reversed(PurePosixPath(name).parents) if parent.name]
