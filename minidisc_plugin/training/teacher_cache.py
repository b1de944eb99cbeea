"""Files of a frozen teacher's outputs: written once by one process or several, read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minidisc_plugin.foundation.disks import allocate
from minidisc_plugin.foundation.errors import DataError, StorageError
from minidisc_plugin.training.teacher_arrays import Array, Layout

ROW = "teacher_row"
"""Column of the training set: which row of the cache an example has."""
CHANGED = (
    "engine.teacher_cache: examples change from epoch to epoch, so their teacher's outputs cannot be kept; "
    "set it to false"
)
"""What is wrong where an example has other tokens than when its teacher's outputs were kept."""


def file_of(folder: Path, array: Array) -> Path:
    """The file of an array."""
    return folder / f"{array.name}.bin"


class CacheWriter:
    """Writes outputs of a teacher into files that `create` has made; a context, at whose end they are on the disk.

    Args:
        folder: Where the files are.
        layout: What they hold.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self._stack = ExitStack()
        self._files: dict[str, FileIO] = {}

    def create(self) -> None:
        """Make the files with room for everything.

        Raises:
            OSError: the disk has no room.
        """
        for array in self.layout.arrays:
            with file_of(self.folder, array).open("xb") as file:
                allocate(file, self.layout.size(array))

    def __enter__(self) -> CacheWriter:
        for array in self.layout.arrays:
            self._files[array.name] = self._stack.enter_context(file_of(self.folder, array).open("r+b", buffering=0))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._stack:
            if kind is None:
                for file in self._files.values():
                    os.fsync(file.fileno())

    def write(self, rows: Sequence[int], outputs: Any, mask: Tensor) -> None:
        """Write the outputs of a batch.

        Raises:
            DataError: half precision cannot hold one.
            OSError: the disk refuses.
        """
        for array in self.layout.arrays:
            # Rounded where it was computed: half as much is moved, and numpy takes its time to make half precision.
            rounded = array.values(outputs, mask).to(array.torch_dtype)
            kept = np.ascontiguousarray(rounded.cpu().numpy())
            if not torch.isfinite(rounded).all():
                raise DataError(
                    f"engine.teacher_cache: half precision cannot hold the teacher's {array.name}; set it to false"
                )
            start = 0
            for row in rows:
                place = self.layout.place(array, row)
                end = start + (place.stop - place.start)
                _write_at(self._files[array.name], kept[start:end], place.start * array.row_bytes)
                start = end


class TeacherCache:
    """Reads outputs; the files may be removed meanwhile, for they are held open.

    Args:
        folder: Of finished files.
        layout: What they hold.
        held: Kept open as long as the files, and closed with them: what tells other runs that this one reads.

    Raises:
        OSError: a file cannot be opened.
    """

    def __init__(self, folder: Path, layout: Layout, held: BinaryIO) -> None:
        self.folder = folder
        self.layout = layout
        with ExitStack() as stack:
            stack.enter_context(held)
            self._files = {
                array.name: stack.enter_context(file_of(folder, array).open("rb", buffering=0))
                for array in layout.arrays
            }
            self._stack = stack.pop_all()

    def __len__(self) -> int:
        """Examples."""
        return len(self.layout.lengths)

    @property
    def tokens(self) -> int:
        """Of each example, where all are of one size."""
        return self.layout.lengths[0]

    def close(self) -> None:
        """Let go of the files."""
        self._stack.close()

    def rows(self, array: Array, start: int, count: int) -> NDArray[Any]:
        """Rows of an array in the order of its file, (count, *shape).

        Raises:
            StorageError: a file was cut meanwhile.
        """
        found = np.empty((count, *array.shape), array.dtype)
        self._read_at(array, found, start * array.row_bytes)
        return found

    def read(self, rows: Sequence[int] | Tensor, mask: Tensor) -> Any:
        """The teacher's outputs for a batch, in single precision on the mask's device.

        Args:
            rows: Of each example of the batch.
            mask: (examples, tokens), 1 at real tokens.

        Raises:
            DataError: an example has other tokens than when the cache was made.
            StorageError: a file was cut meanwhile.
        """
        rows = rows.tolist() if isinstance(rows, Tensor) else rows
        wanted = [self.layout.lengths[row] for row in rows]
        mask = mask.bool()
        if mask.sum(1).tolist() != wanted:
            raise DataError(CHANGED)
        found: dict[str, Any] = {"hidden_states": None}  # as models say it that were not asked for them
        for array in self.layout.arrays:
            places = [self.layout.place(array, row) for row in rows]
            parts = np.empty((sum(place.stop - place.start for place in places), *array.shape), array.dtype)
            start = 0
            for place in places:
                end = start + (place.stop - place.start)
                self._read_at(array, parts[start:end], place.start * array.row_bytes)
                start = end
            found[array.name] = array.output(torch.from_numpy(parts).to(mask.device).float(), mask)
        return SimpleNamespace(**found)

    def _read_at(self, array: Array, rows: NDArray[Any], offset: int) -> None:
        # Read, and not mapped: a file that somebody cuts short is an error, and no signal that ends the process.
        wanted = rows.reshape(-1).view(np.uint8).data
        self._files[array.name].seek(offset)
        while wanted:
            count = self._files[array.name].readinto(wanted)
            if not count:
                raise StorageError(
                    f"{file_of(self.folder, array)}: it was cut short while it was read; nothing else may write there"
                )
            wanted = wanted[count:]


def _write_at(file: FileIO, rows: NDArray[Any], offset: int) -> None:
    left = rows.reshape(-1).view(np.uint8).data
    file.seek(offset)
    while left:
        left = left[file.write(left) :]
