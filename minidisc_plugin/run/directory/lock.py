"""One run a folder: a lock that names its holder, and that the system frees when the holder dies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from minidisc_plugin.contracts.output import LOCK_FILE
from minidisc_plugin.foundation.errors import RunDirectoryError

# Seconds; another start that only looks holds it for an instant.
_PATIENCE = 0.5


class RunLock:
    """The lock of one output directory.

    Args:
        folder: The directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / LOCK_FILE

    def refuse_if_held(self) -> None:
        """Refuse a directory that another process works in; a lock that nobody holds goes.

        Raises:
            RunDirectoryError: names that process.
        """
        if self.file.exists():
            lock = self._take()  # which makes the file anew, where its holder ended just now
            self._remove()
            lock.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock in the block; the file goes with it.

        Raises:
            RunDirectoryError: another process holds it.
        """
        lock = self._take()
        try:
            holder = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now().isoformat(" ", "seconds"),
            }
            self.file.write_text(json.dumps(holder), encoding="utf-8")
            yield
        finally:
            # While it is held: who opened the file before and waits for it finds that it has no name any more.
            self._remove()
            lock.release()

    def _remove(self) -> None:
        # Twice: a disk that failed for an instant would leave the file of a run that ended well.
        for _ in range(2):
            with suppress(OSError):
                self.file.unlink(missing_ok=True)
                return

    def _take(self) -> FileLock:
        lock = FileLock(self.file, thread_local=False)
        # Once more in the end: a process that was held meanwhile has waited for one that may be gone.
        for patience in (_PATIENCE, 0.0):
            with suppress(Timeout):
                lock.acquire(timeout=patience)
                return lock
        raise RunDirectoryError(
            f"output_dir: {self.folder} is in use by {self._holder()}; wait for it or stop it, or give another "
            "output_dir"
        )

    def _holder(self) -> str:
        try:
            holder = json.loads(self.file.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on host {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it has taken the lock and not yet signed
            return "another process"
