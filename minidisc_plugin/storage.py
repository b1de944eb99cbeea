"""What a disk refuses, said in one line: the path, the cause and the remedy, and bytes where it is a matter of room.

Libraries say it in many ways: Python by an `OSError`, safetensors and torch's zip writer by errors of their own, some
by a text alone. `storage_errors` makes one `StorageError` of them all.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from minidisc_plugin.errors import MinidiscError, StorageError

_ROOM = "make room there, or give another folder"
_REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f), or give another folder",
    errno.EROFS: "give a folder that can be written to",
    errno.EACCES: "give a folder that you may read and write",
    errno.EPERM: "give a folder that you may read and write",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit on open files",
    errno.EIO: "the device may be failing: see the system's log, or give another folder",
    errno.ESTALE: "the network folder went away: mount it again",
    errno.ENOENT: "it may have been removed meanwhile",
    errno.ENOTDIR: "a part of the path is a file: give another folder",
    errno.EISDIR: "a folder is where a file should be: give another folder",
    errno.EEXIST: "remove it, or give another folder",
    errno.ENOTEMPTY: "another process may be writing there: give another folder",
    errno.ELOOP: "symbolic links go in a circle: give another folder",
    errno.EBUSY: "another process holds it: try again",
    errno.ETXTBSY: "another process holds it: try again",
    errno.ENODEV: "the device went away",
    errno.ENXIO: "the device went away",
    errno.ENOLCK: "the filesystem cannot lock files: give another folder",
    errno.ENOTCONN: "the network folder went away: mount it again",
    errno.EINVAL: "the filesystem cannot do it: give another folder",
    errno.EOPNOTSUPP: "the filesystem cannot do it: give another folder",
}
_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Not of a disk: the network's and other processes' errors are OSErrors too.
_ELSEWHERE = (ConnectionError, ProcessLookupError, ChildProcessError, InterruptedError, TimeoutError)

# `os error 28` is Rust's (safetensors, tokenizers); a number after a cause is that of torch's shared memory.
_NUMBERED = re.compile(r"(?:os error|[Ee]rrno) (\d+)|unable to [a-z ]+ (?:file|object|bytes)[^:]*: .*\((\d+)\)")
# Causes that nothing but a disk has, so a text is enough; behind `strerror` any cause is one of a disk.
_TELLING = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO),
    *(errno.ENAMETOOLONG, errno.EMFILE, errno.ESTALE),
)
# Writers that hide the cause: torch's zip archive, a C++ stream (OpenVINO), numpy's `tofile`.
_CAUSELESS = re.compile(
    r"inline_container\.cc:\d+\] \. (?:PytorchStreamWriter failed|unexpected pos|open file failed|file write failed)"
    r"|basic_ios::clear|ios_base::clear|basic_filebuf|\d+ requested and \d+ written|^Parent directory .* does not exist"
)
_SHARED_MEMORY = re.compile(r"shared memory|</torch_\d+")
# Free room below this is taken for the cause where a library gives none.
_LITTLE = 2**20


@contextmanager
def storage_errors(
    path: str | os.PathLike[str], needed: int | None = None, *, resumable: bool = False
) -> Iterator[None]:
    """Inside, what the disk refuses is raised as a StorageError; all other errors pass as they are.

    Args:
        path: Named where an error names no path of its own.
        needed: Bytes that are to be written, where that is known.
        resumable: Training has begun, so that a run may be resumed.

    Raises:
        StorageError: something could not be read or written.
    """
    try:
        yield
    except StorageError as error:
        error.resumable |= resumable
        raise
    except MinidiscError:
        raise
    except Exception as error:
        found = storage_error(error, path, needed)
        if found is None:
            raise
        found.resumable = resumable
        raise found from error


def storage_error(
    error: BaseException, path: str | os.PathLike[str] | None = None, needed: int | None = None
) -> StorageError | None:
    """The StorageError that an error of any library stands for; None where no disk has to do with it.

    Args:
        error: What was raised.
        path: Named where the error names no path of its own.
        needed: Bytes that were to be written, where that is known.
    """
    chain = _chain(error)
    for one in chain:
        if isinstance(one, StorageError):
            return one
        if (number := _number(one)) is not None:
            return StorageError(_message(number, _path_of(one) or path, needed))
    for one in chain:
        if isinstance(one, ValueError) and "embedded null" in str(one):
            place = "" if path is None else f"{shown(path)}: "
            return StorageError(f"{place}a path cannot hold a NUL character; give another one")
        if _CAUSELESS.search(str(one)):
            return StorageError(_guessed(one, path, needed))
    return None


def free_bytes(path: str | os.PathLike[str]) -> int | None:
    """Bytes free where a path is, or would be made; None where that cannot be told."""
    try:
        return shutil.disk_usage(existing(path)).free
    except (OSError, ValueError):
        return None


def existing(path: str | os.PathLike[str]) -> Path:
    """A path, or the nearest of its parents that is there.

    Raises:
        OSError: the path cannot be looked at.
    """
    whole = Path(path).absolute()
    return next((place for place in (whole, *whole.parents) if place.exists()), whole)


def hugging_face_home() -> Path:
    """Where Hugging Face's libraries keep what they load and make."""
    above = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or os.path.join(above, "huggingface")).expanduser().absolute()


def in_bytes(count: int) -> str:
    """A number of bytes for a message."""
    return f"{count:,} bytes"


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message: in one line, without control characters, and not endless."""
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in os.fspath(path))
    return text if len(text) <= 300 else f"{text[:120]}...{text[-120:]}"


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those that it came from, the newest first."""
    found: list[BaseException] = []
    present: BaseException | None = error
    while present is not None and present not in found:
        found.append(present)
        # What was merely being handled at the time says nothing, but for a writer that hides its cause.
        hides = present.__cause__ is None and _CAUSELESS.search(str(present))
        present = present.__context__ if hides else present.__cause__
    return found


def _number(error: BaseException) -> int | None:
    """The errno that an error stands for, if it is one of a disk."""
    if isinstance(error, _ELSEWHERE):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _REMEDIES else None
    text = str(error)
    if (numbered := _NUMBERED.search(text)) and (number := int(numbered[1] or numbered[2])) in _REMEDIES:
        return number
    causes = _REMEDIES if "strerror" in text else _TELLING
    return next((number for number in causes if os.strerror(number).lower() in text.lower()), None)


def _path_of(error: BaseException) -> str | None:
    """The path that an error names."""
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if isinstance(name, str | bytes | os.PathLike) and name:
        return os.fsdecode(name)
    named = re.search(r'at path "([^"]+)"', str(error))  # safetensors
    if named:
        return named[1]
    return "/dev/shm" if _SHARED_MEMORY.search(str(error)) else None


def _message(number: int, path: str | os.PathLike[str] | None, needed: int | None) -> str:
    place = "" if path is None else f"{shown(path)}: "
    cause = os.strerror(number)
    parts = []
    if number in _OF_ROOM:
        if needed is not None:
            parts.append(f"{in_bytes(needed)} are needed")
        limit = _size_limit() if number == errno.EFBIG else None
        free = None if path is None else free_bytes(path)
        if limit is not None:
            parts.append(f"{in_bytes(limit)} are allowed")
        elif free is not None:
            parts.append(f"{in_bytes(free)} are free" + (", but no more files" if _no_inodes(path) else ""))
    room = f" ({', '.join(parts)})" if parts else ""
    return f"{place}{cause}{room}; {_REMEDIES[number]}{_cache_hint(path)}"


def _guessed(error: BaseException, path: str | os.PathLike[str] | None, needed: int | None) -> str:
    """Of an error that gives no cause: the folder is gone, the disk is full, or a file would be too large."""
    named = re.match(r"Parent directory (.*) does not exist", str(error))
    if named:
        return _message(errno.ENOENT, named[1], None)
    if path is not None and not Path(path).exists():
        return _message(errno.ENOENT, path, None)
    free = None if path is None else free_bytes(path)
    if free is not None and free < max(_LITTLE, needed or 0):
        return _message(errno.ENOSPC, path, needed)
    if _size_limit() is not None:
        return _message(errno.EFBIG, path, needed)
    place = "a file" if path is None else shown(path)
    room = "" if free is None else f", {in_bytes(free)} are free"
    return f"{place}: cannot be written ({' '.join(str(error).split())[:120]}{room}); {_ROOM}"


def _no_inodes(path: str | os.PathLike[str] | None) -> bool:
    """Whether a filesystem has room for bytes, but for no other file."""
    if path is None or not hasattr(os, "statvfs"):
        return False
    found = os.statvfs(existing(path))
    return found.f_files > 0 and found.f_favail == 0


def _size_limit() -> int | None:
    """The largest file that this process may write, where there is a limit."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _cache_hint(path: str | os.PathLike[str] | None) -> str:
    """Which variable says where a cache of Hugging Face's is, for a path in one."""
    if path is None:
        return ""
    inside = Path(path).absolute()
    for name, folder in _caches().items():
        if inside.is_relative_to(folder):
            return f", by {name} (now {shown(folder)})"
    return ""


def _caches() -> dict[str, Path]:
    """Folders that Hugging Face's libraries write to, by the variable that moves them."""
    names = ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_MODULES_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE")
    own = {name: Path(os.environ[name]).expanduser().absolute() for name in names if os.environ.get(name)}
    return {**own, "HF_HOME": hugging_face_home()}
