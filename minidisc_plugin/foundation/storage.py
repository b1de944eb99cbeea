"""What a disk refuses, said in one line: the path, the cause and the remedy, and bytes where it is a matter of room.

Libraries say it in many ways: Python by an `OSError`, safetensors and torch's zip writer by errors of their own, some
by a text alone. `storage_errors` makes one `StorageError` of them all.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from minidisc_plugin.foundation.disks import (
    existing,
    filesystem,
    free_bytes,
    has_no_inodes,
    hugging_face_home,
    in_bytes,
    mover,
    shown,
    size_limit,
)
from minidisc_plugin.foundation.errors import MinidiscError, StorageError, StorageFailedError

# What helps; those of _NOT_ELSEWHERE are not helped by another folder.
_REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it readable and writable for you",
    errno.EPERM: "make it readable and writable for you",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit on open files",
    errno.EIO: "the device may be failing: see the system's log",
    errno.ESTALE: "the network folder went away: mount it again",
    errno.ENOTCONN: "the network folder went away: mount it again",
    errno.ENOENT: "was it removed meanwhile?",
    errno.ENOTDIR: "a part of the path is a file: remove it",
    errno.EISDIR: "a folder is where a file should be: give another path, or remove it",
    errno.EEXIST: "remove it",
    errno.ENOTEMPTY: "does another process write there?",
    errno.ELOOP: "symbolic links go in a circle: mend them",
    errno.EBUSY: "another process holds it: end it",
    errno.ETXTBSY: "another process holds it: end it",
    errno.ENODEV: "the device went away: bring it back",
    errno.ENXIO: "the device went away: bring it back",
    errno.ENOLCK: "the filesystem cannot lock files",
    errno.EINVAL: "the filesystem cannot do it",
    errno.EOPNOTSUPP: "the filesystem cannot do it",
}
_NOT_ELSEWHERE = (errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.EISDIR)
_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_WRITING = (*_OF_ROOM, errno.EROFS, errno.EIO)
# Not of a disk: the network's and other processes' errors are OSErrors too.
_ELSEWHERE = (ConnectionError, ProcessLookupError, ChildProcessError, InterruptedError, TimeoutError)

# `os error 28` is Rust's (safetensors, tokenizers); a number after a cause is that of torch's shared memory.
_NUMBERED = re.compile(r"(?:os error|[Ee]rrno) (\d+)|unable to [a-z ]+ (?:file|object|bytes)[^:]*: .*\((\d+)\)")
# Causes that nothing but a disk has, so a text is enough; behind `strerror` any cause is one of a disk.
_TELLING = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO),
    *(errno.ENAMETOOLONG, errno.EMFILE, errno.ESTALE),
)
# Writers that hide the cause: torch's zip archive, C++ streams and OpenVINO, numpy's `tofile`.
_CAUSELESS = re.compile(
    r"inline_container\.cc:\d+\] \. (?:PytorchStreamWriter failed|unexpected pos|open file failed|file write failed)"
    r"|basic_ios::clear|ios_base::clear|basic_filebuf|Can't open (?:bin|xml) file"
    r"|\d+ requested and \d+ written|^Parent directory .* does not exist"
)
# What is said of a file that was closed because of the error before.
_LATER = re.compile(r"I/O operation on closed file")
_SHARED_MEMORY = re.compile(r"shared memory|</torch_\d+")
_SHARED = "/dev/shm"
# A worker that found no room there is killed by its first access.
_BUS_ERROR = re.compile(r"DataLoader worker .*Bus error")
# What `atomic` puts before a name while it writes.
_TEMPORARY = re.compile(r"^\.tmp-[0-9a-f]{8}-")
# Free room below this is taken for the cause where a library gives none.
_LITTLE = 2**20


@contextmanager
def storage_errors(
    path: str | os.PathLike[str], needed: int | None = None, *, during_run: bool = False
) -> Iterator[None]:
    """Inside, what the disk refuses is raised as a StorageError; all other errors pass as they are.

    Args:
        path: Named where an error names no path of its own.
        needed: Bytes that are to be written, where that is known.
        during_run: Training has begun, so that the run may be resumed.

    Raises:
        StorageError: something could not be read or written; a StorageFailedError during a run.
    """
    try:
        yield
    except StorageFailedError:
        raise
    except Exception as error:
        told = isinstance(error, MinidiscError) and not (during_run and isinstance(error, StorageError))
        found = None if told else storage_error(error, path, needed)
        if found is None:
            raise
        raise (StorageFailedError(*found.args) if during_run else found) from error


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
            return _refused(number, _path_of(one) or path, needed)
    for one in chain:
        if isinstance(one, ValueError) and "embedded null" in str(one):
            place = "" if path is None else f"{shown(path)}: "
            return StorageError(f"{place}a path cannot hold a NUL character", "remove it")
        if _BUS_ERROR.search(str(one)):
            return _refused(errno.ENOSPC, _SHARED, None)
        if _CAUSELESS.search(str(one)):
            return _guessed(one, path, needed)
    return None


def cache_error(error: BaseException, folder: str | os.PathLike[str] | None = None) -> StorageError | None:
    """The StorageError of a library that could not write to a cache of its own; None for an error about other files.

    Args:
        error: What was raised.
        folder: The cache, where it is not one of Hugging Face's.
    """
    cache = hugging_face_home() if folder is None else Path(folder).absolute()
    for one in _chain(error):
        number, path = _number(one), _path_of(one)
        if number is None:
            continue
        if path is None:
            return _refused(number, cache, None) if number in _OF_WRITING else None
        return _refused(number, path, None) if mover(path) or Path(path).absolute().is_relative_to(cache) else None
    return None


def require_room(path: str | os.PathLike[str], needed: int) -> None:
    """Refuse to begin what a disk has no room for.

    Raises:
        StorageError: names the path, and the bytes needed and free.
    """
    free = free_bytes(path)
    if free is not None and needed > free:
        raise _refused(errno.ENOSPC, path, needed)


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those that it came from, the newest first."""
    found: list[BaseException] = []
    present: BaseException | None = error
    while present is not None and present not in found:
        found.append(present)
        # What was merely being handled at the time says nothing, but for a writer that hides its cause.
        text = str(present)
        hides = present.__cause__ is None and (_CAUSELESS.search(text) or _LATER.search(text))
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
        folder, file = os.path.split(os.fsdecode(name))
        return os.path.join(folder, _TEMPORARY.sub("", file))
    named = re.search(r'at path "([^"]+)"', str(error))  # safetensors
    if named:
        return named[1]
    return _SHARED if _SHARED_MEMORY.search(str(error)) or _is_of_processes(error) else None


def _is_of_processes(error: BaseException) -> bool:
    """Whether it was raised where Python makes what processes share."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_globals.get("__name__", "").startswith("multiprocessing.")


def _refused(number: int, path: str | os.PathLike[str] | None, needed: int | None) -> StorageError:
    place = "" if path is None else f"{shown(path)}: "
    cause = os.strerror(number)
    parts = []
    if number in _OF_ROOM:
        if needed is not None:
            parts.append(f"{in_bytes(needed)} are needed")
        limit = size_limit() if number == errno.EFBIG else None
        free = None if path is None else free_bytes(path)
        if limit is not None:
            parts.append(f"{in_bytes(limit)} are allowed")
        elif free is not None:
            parts.append(f"{in_bytes(free)} are free" + (", but no more files" if has_no_inodes(path) else ""))
    room = f" ({', '.join(parts)})" if parts else ""
    said = f"{place}{cause}{room}"
    if path == _SHARED:
        return StorageError(said, "make room there, or set training.dataloader_num_workers: 0")
    moved = mover(path)
    if moved:
        return StorageError(said, f"{_REMEDIES[number]}, or set {moved} to another folder")
    return StorageError(said, _REMEDIES[number], elsewhere=number not in _NOT_ELSEWHERE)


def _guessed(error: BaseException, path: str | os.PathLike[str] | None, needed: int | None) -> StorageError:
    """Of an error that gives no cause: what is wrong where the file should go."""
    text = " ".join(str(error).split())
    gone = re.match(r"Parent directory (.*) does not exist", text)
    if gone or path is None:
        return (
            _refused(errno.ENOENT, gone[1], None) if gone else StorageError(f"a file cannot be written ({text[:120]})")
        )
    place, free = existing(path), free_bytes(path)
    if place not in (Path(path).absolute(), Path(path).absolute().parent):
        return _refused(errno.ENOENT, path, None)
    if (found := filesystem(place)) is not None and found.f_flag & os.ST_RDONLY:
        return _refused(errno.EROFS, path, None)
    if not os.access(place, os.W_OK):
        return _refused(errno.EACCES, path, None)
    if free is not None and free < max(_LITTLE, needed or 0):
        return _refused(errno.ENOSPC, path, needed)
    if size_limit() is not None:
        return _refused(errno.EFBIG, path, needed)
    room = "" if free is None else f", {in_bytes(free)} are free"
    return StorageError(f"{shown(path)}: cannot be written ({text[:120]}{room})", "make room there", elsewhere=True)
