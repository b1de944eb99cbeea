"""Folders of caches that several runs share: begun, finished, held while they are read, and removed by the oldest.

Each folder has one file whose lock says what becomes of it. Whoever makes a folder holds it alone, so one that nobody
holds was left by a run that was killed. Readers hold it together, and while they do nobody removes the folder. The
system frees a lock when its holder dies, on this host or on another that shares the disk.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from minidisc_plugin.foundation.atomic import flush
from minidisc_plugin.foundation.errors import DataError

logger = logging.getLogger(__name__)

UNFINISHED = ".unfinished-"
_FINISHED = re.compile(r"[0-9a-f]{32}")
_BEGUN = re.compile(rf"{re.escape(UNFINISHED)}[0-9a-f]{{32}}-.*")
_GIB = 2**30


class CacheFolders:
    """The caches in one folder; what else lies there is left alone.

    Args:
        root: The folder.
        lock_file: Name of the file in each cache that is locked.
    """

    def __init__(self, root: Path, lock_file: str) -> None:
        self.root = root
        self.lock_file = lock_file

    def open(self, key: str) -> BinaryIO | None:
        """The locked file of a finished cache, which stays where it is as long as that is open; None without one."""
        try:
            file = (self.root / key / self.lock_file).open("rb")
        except OSError:
            return None
        # Between the opening and the lock another run may have removed it.
        if _lock(file, alone=False) is not False and _is_at(file, self.root / key / self.lock_file):
            with suppress(OSError):  # it may be somebody else's
                os.utime(self.root / key)  # the latest to be used is the last to go
            return file
        file.close()
        return None

    @contextmanager
    def begun(self, key: str) -> Iterator[tuple[Path, BinaryIO]]:
        """A new folder, and its locked file; what is not finished at the end of the block is removed.

        Raises:
            OSError: it cannot be made.
        """
        folder, file = self._claim(key)
        try:
            with file:
                yield folder, file
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def finish(self, folder: Path, file: BinaryIO, key: str) -> None:
        """Give a begun folder its place, unless another run was faster."""
        with suppress(OSError):  # not every platform lets a folder be opened
            flush(folder)
        try:
            folder.rename(self.root / key)
        except OSError:
            if not (self.root / key).is_dir():
                raise
        _lock(file, alone=False)
        with suppress(OSError):
            flush(self.root)

    def clean(self) -> None:
        """Remove what runs left that were killed while they made or removed a cache."""
        for path in self._matching(_BEGUN):
            with suppress(OSError), (path / self.lock_file).open("a+b") as file:
                if _lock(file, alone=True):
                    shutil.rmtree(path, ignore_errors=True)

    def discard(self, key: str) -> None:
        """Remove a cache that cannot be used.

        Raises:
            OSError: it cannot be removed.
        """
        self._remove(self.root / key)

    def make_room(self, size: int, limit: float, keep: str) -> None:
        """Remove the caches that were used longest ago until there is room for another; what is read stays.

        Args:
            size: Bytes of the other.
            limit: Of all together.
            keep: Its key.

        Raises:
            DataError: those that are read leave too little room.
        """
        caches = [path for path in self._matching(_FINISHED) if path.name != keep]
        used = {path: _last_use(path) for path in caches}
        sizes = {path: _bytes(path) for path in caches}
        for path in sorted(caches, key=used.__getitem__):
            if sum(sizes.values()) + size <= limit:
                return
            if self._evict(path):
                del sizes[path]
        if sizes and sum(sizes.values()) + size > limit:
            raise DataError(
                f"engine.teacher_cache_gib: {limit / _GIB:g} is less than the {size / _GIB:.2f} GiB that are needed "
                f"and the {sum(sizes.values()) / _GIB:.2f} GiB in {self.root} that other runs are reading; raise it, "
                "or set engine.teacher_cache: false"
            )

    def _claim(self, key: str) -> tuple[Path, BinaryIO]:
        """A new folder, and its locked file."""
        while True:
            folder = self._new(key)
            folder.mkdir()
            try:
                file = (folder / self.lock_file).open("x+b")
            except (FileExistsError, FileNotFoundError):
                continue  # another run took it for one that was left, as it was not locked yet
            except OSError:
                folder.rmdir()
                raise
            if _lock(file, alone=True) is not False and _is_at(file, folder / self.lock_file):
                return folder, file
            file.close()

    def _evict(self, path: Path) -> bool:
        """Remove a cache that nobody reads; whether it is gone."""
        try:
            with (path / self.lock_file).open("r+b") as file:
                if not _lock(file, alone=True):
                    return False
                self._remove(path)
        except FileNotFoundError:
            with suppress(OSError):
                self._remove(path)
        except OSError:
            return False
        return not path.exists()

    def _remove(self, path: Path) -> None:
        """Take the name from a folder first, so that what is half removed is never taken for whole."""
        aside = self._new(path.name)
        path.rename(aside)
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink()

    def _new(self, key: str) -> Path:
        return self.root / f"{UNFINISHED}{key}-{secrets.token_hex(4)}"

    def _matching(self, pattern: re.Pattern[str]) -> list[Path]:
        try:
            found = [entry for entry in os.scandir(self.root) if pattern.fullmatch(entry.name)]
        except OSError:
            return []
        return [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]


def _lock(file: BinaryIO, *, alone: bool) -> bool | None:
    """Lock an open file until it is closed: alone, or together with others who do not want it alone.

    Returns:
        Whether it is locked now; False where somebody else holds it, None where files cannot be locked.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which does not let go of a folder with an open file in it
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a filesystem without locks
        return None
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file still has a name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _bytes(folder: Path) -> int:
    total = 0
    with suppress(OSError):  # another run may be removing it
        for file in folder.iterdir():
            total += file.stat().st_size
    return total


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
