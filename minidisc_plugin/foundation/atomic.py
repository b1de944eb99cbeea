"""Write files so that a reader, or a run cut off half way, never sees half of one."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp-"
"""What the names of files and folders begin with that are not whole yet."""

# Made here; and, for what matplotlib and Neural Compressor keep meanwhile, by tempfile.
_MADE = re.compile(rf"{re.escape(TEMPORARY)}([0-9a-f]{{8}}-.+|(plot|inc)-[a-z0-9_]{{8}})")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to save to; on leaving the block that file takes the place of ``path`` in one step.

    The temporary file lies in the same folder and ends with the same name, so a library that looks at the
    suffix behaves as it would with ``path``. When the block raises, ``path`` is left as it was.

    Raises:
        FileNotFoundError: the folder does not exist, or the block wrote nothing to the path it was given.
        IsADirectoryError: the path ends in no name, as `.` and `/` do.
    """
    target = _named(path)
    temporary = target.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{target.name}")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    with suppress(OSError):  # makes the new name durable; not every platform lets a folder be opened
        flush(target.parent)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder to fill; on leaving the block it takes the place of ``path`` and what that held.

    When the block raises, or the folder cannot take its place, ``path`` is left as it was.

    Raises:
        IsADirectoryError: the path ends in no name, as `.` and `/` do.
    """
    target = _named(path)
    token = secrets.token_hex(4)
    temporary = target.with_name(f"{TEMPORARY}{token}-{target.name}")
    aside = target.with_name(f"{TEMPORARY}{token}-old-{target.name}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for written in temporary.rglob("*"):
            if written.is_file():
                flush(written)
        # A folder cannot be replaced in one step, so what is half removed must not have the name any more.
        if os.path.lexists(target):
            os.replace(target, aside)
        os.replace(temporary, target)
    except BaseException:
        if os.path.lexists(aside) and not os.path.lexists(target):
            with suppress(OSError):
                os.replace(aside, target)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
    with suppress(OSError):
        flush(target.parent)


def temporaries_in(folder: Path) -> list[Path]:
    """What was left in a folder by a process that was killed; other names that begin alike are somebody's."""
    return [path for path in folder.glob(f"{TEMPORARY}*") if is_temporary(path.name)]


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name was made here, or by tempfile for a library."""
    return _MADE.fullmatch(name) is not None


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file at ``path`` by ``data``, or leave it untouched."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace the file at ``path`` by ``text`` in UTF-8, line ends as given, or leave it untouched."""
    write_bytes(path, text.encode("utf-8"))


def flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk before anything that comes after."""
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(path: str | os.PathLike[str]) -> Path:
    """A path whose last part can be given to something else."""
    target = Path(path)
    if target.name in ("", ".."):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    return target
