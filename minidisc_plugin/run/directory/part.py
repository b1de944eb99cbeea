"""The part of a run's directory that is one of several students': it looks like the directory of a run of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from minidisc_plugin.run.directory.folder import RunDirectory


class StudentDirectory:
    """A folder in the directory of a run; see `contracts.run.OutputDirectory`.

    Args:
        whole: The run's.
        name: Of the folder.
    """

    def __init__(self, whole: RunDirectory, name: str) -> None:
        self._whole, self._name = whole, name
        self.place, self.root = whole.place / name, whole.root / name

    @property
    def checkpoints(self) -> Path:
        """For what is gone when the run is finished; those of training stages lie with the run's."""
        return self._whole.checkpoints / self._name

    @property
    def student(self) -> Path:
        """Folder of the student."""
        return self.root / self._whole.student.name

    def assistant(self, number: int, count: int) -> Path:
        """Folder of the `number`-th (from 1) of `count` assistants."""
        return self.root / self._whole.assistant(number, count).name

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Yield a path to save a file or a folder to; see RunDirectory."""
        return self._whole.writing(self._below(name))

    def adopt(self, names: Iterable[str]) -> None:
        """List what lies under these names as written by this run."""
        self._whole.adopt(map(self._below, names))

    def written(self) -> Mapping[str, str]:
        """SHA-256 of each file of this student, by its path in `root`."""
        above = self._below("")
        files = self._whole.written().items()
        return {name.removeprefix(above): digest for name, digest in files if name.startswith(above)}

    def verify(self, under: str = "") -> None:
        """Compare files with their recorded checksums; see RunDirectory."""
        self._whole.verify(self._below(under).rstrip("/"))

    def _below(self, name: str) -> str:
        return f"{self._name}/{name}"
