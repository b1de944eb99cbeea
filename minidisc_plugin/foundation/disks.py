"""Disks: what is free, what may be written, where Hugging Face's caches lie, and how paths are shown."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from minidisc_plugin.foundation.printable import printable


def free_bytes(path: str | os.PathLike[str]) -> int | None:
    """Bytes free where a path is, or would be made; None where that cannot be told."""
    try:
        return shutil.disk_usage(existing(path)).free
    except (OSError, ValueError):
        return None


def allocate(file: BinaryIO, size: int) -> None:
    """Give a new file its size, and the room for it where the filesystem can tell.

    Raises:
        OSError: there is no room.
    """
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV):
                raise
    file.truncate(size)


def existing(path: str | os.PathLike[str]) -> Path:
    """A path, or the nearest of its parents that is there."""
    whole = Path(path).absolute()
    return next((place for place in (whole, *whole.parents) if os.path.exists(place)), whole)


def hugging_face_home() -> Path:
    """Where Hugging Face's libraries keep what they load and make."""
    above = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or os.path.join(above, "huggingface")).expanduser().absolute()


def in_bytes(count: int) -> str:
    """A number of bytes for a message."""
    return f"{count:,} bytes"


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message; of an endless one, both ends."""
    text = printable(os.fspath(path))
    return text if len(text) <= 300 else f"{text[:120]}...{text[-120:]}"


def has_no_inodes(path: str | os.PathLike[str] | None) -> bool:
    """Whether a filesystem has room for bytes, but for no other file."""
    found = None if path is None else filesystem(path)
    return found is not None and found.f_files > 0 and found.f_favail == 0


def filesystem(path: str | os.PathLike[str]) -> os.statvfs_result | None:
    """What is known of the filesystem that a path is on, if anything."""
    try:
        return os.statvfs(existing(path))
    except (AttributeError, OSError, ValueError):  # Windows has none
        return None


def size_limit() -> int | None:
    """The largest file that this process may write, where there is a limit."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def mover(path: str | os.PathLike[str] | None) -> str | None:
    """The variable that moves it, for a path in one of Hugging Face's caches."""
    if path is None:
        return None
    inside = Path(path).absolute()
    for name, folder in hugging_face_caches().items():
        if inside.is_relative_to(folder):
            return name
    return None


def hugging_face_caches() -> dict[str, Path]:
    """Folders that Hugging Face's libraries write to, by the variable that moves them."""
    names = ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_MODULES_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE")
    own = {name: Path(os.environ[name]).expanduser().absolute() for name in names if os.environ.get(name)}
    return {**own, "HF_HOME": hugging_face_home()}
