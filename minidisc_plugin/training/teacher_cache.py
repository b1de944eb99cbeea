"""A frozen teacher's outputs for every training example, computed once and read from memory-mapped files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minidisc_plugin.errors import DataError

ROW = "teacher_row"
"""Column of the training set: which row of the cache an example has."""

_INDEX = "index.json"
_LENGTHS = "lengths"


@dataclass(frozen=True)
class Array:
    """One file: an output of the teacher for every example, or for every real token of every example.

    Attributes:
        name: Of the output, as the model calls it.
        shape: Of one example's or token's part; the first number of several states is that of the states.
        of_tokens: Whether it has a row per token.
        states: Which of how many states are held, for an output that is a tuple of states; else empty.
        count: How many states the teacher has.
    """

    name: str
    shape: tuple[int, ...]
    of_tokens: bool
    states: tuple[int, ...] = ()
    count: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Half precision for tokens, of which there are many; single for examples."""
        return np.dtype(np.float16 if self.of_tokens else np.float32)

    def size(self, examples: int, tokens: int) -> int:
        """Bytes of the file."""
        return (tokens if self.of_tokens else examples) * math.prod(self.shape) * self.dtype.itemsize

    def values(self, outputs: Any, mask: Tensor) -> Tensor:
        """Rows of a batch: (real tokens or examples, *shape)."""
        value: Any = outputs[self.name]
        if self.states:
            value = torch.stack([value[state] for state in self.states], dim=-2)
        rows: Tensor = value[mask] if self.of_tokens else value
        return rows

    def output(self, rows: Tensor, mask: Tensor) -> Any:
        """The inverse of `values`; zeros stand where a batch is padded."""
        if not self.of_tokens:
            return rows
        if not self.states:
            whole = rows.new_zeros(*mask.shape, *self.shape)
            whole[mask] = rows
            return whole
        whole = rows.new_zeros(len(self.states), *mask.shape, *self.shape[1:])
        whole[:, mask] = rows.transpose(0, 1)
        # What was not kept is missed where it is used.
        found: list[Any] = [None] * self.count
        for place, state in enumerate(self.states):
            found[state] = whole[place]
        return tuple(found)


def arrays_of(outputs: Mapping[str, Any], mask: Tensor, compared: Callable[[int], Sequence[int]]) -> list[Array]:
    """What a cache would hold of outputs like these.

    Args:
        outputs: Of one batch.
        mask: (examples, tokens), true at real tokens.
        compared: Given the number of hidden states, which of them are needed.

    Raises:
        DataError: an output is neither of examples nor of tokens.
    """
    arrays = []
    for name, value in outputs.items():
        if isinstance(value, (tuple, list)):
            states = tuple(compared(len(value)))
            shape = tuple(value[0].shape[2:])
            if any(tuple(state.shape[:2]) != tuple(mask.shape) for state in value):
                raise DataError(f"engine.teacher_cache: the teacher's {name!r} is not one row a token")
            arrays.append(Array(name, (len(states), *shape), True, states, len(value)))
        elif tuple(value.shape[:2]) == tuple(mask.shape) and value.dim() >= 2:
            arrays.append(Array(name, tuple(value.shape[2:]), True))
        elif len(value) == len(mask):
            arrays.append(Array(name, tuple(value.shape[1:]), False))
        else:
            raise DataError(f"engine.teacher_cache: the teacher's {name!r} is neither of examples nor of tokens")
    return arrays


class CacheFiles:
    """Arrays of a cache in a folder, to be written row by row.

    Args:
        folder: Where they are; made by `create`.
        arrays: What they hold.
        lengths: Real tokens of each example.
    """

    def __init__(self, folder: Path, arrays: Sequence[Array], lengths: Sequence[int]) -> None:
        self.folder = folder
        self.arrays = list(arrays)
        self.lengths = list(lengths)
        self.ends = np.cumsum(self.lengths)

    @property
    def bytes(self) -> int:
        """Of all files, the index left out."""
        return sum(array.size(len(self.lengths), sum(self.lengths)) for array in self.arrays)

    def create(self) -> None:
        """Make the folder, and files of their final size."""
        self.folder.mkdir(parents=True)
        for array in self.arrays:
            with (self.folder / f"{array.name}.bin").open("wb") as file:
                file.truncate(array.size(len(self.lengths), sum(self.lengths)))
        described = [vars(array) for array in self.arrays]
        index = json.dumps({"arrays": described, _LENGTHS: self.lengths})
        (self.folder / _INDEX).write_text(index, encoding="utf-8")

    def write(self, rows: Sequence[int], outputs: Any, mask: Tensor) -> None:
        """Write the outputs of a batch.

        Raises:
            DataError: half precision cannot hold one.
        """
        for array in self.arrays:
            values = array.values(outputs, mask).float().cpu().numpy()
            with np.errstate(over="ignore"):
                kept = values.astype(array.dtype)
            if not np.isfinite(kept).all():
                raise DataError(
                    f"engine.teacher_cache: half precision cannot hold the teacher's {array.name}; set it to false"
                )
            file = np.memmap(self.folder / f"{array.name}.bin", array.dtype, "r+", shape=self.shape_of(array))
            start = 0
            for row in rows:
                place = self.place(array, row)
                end = start + (place.stop - place.start)
                file[place] = kept[start:end]
                start = end

    def place(self, array: Array, row: int) -> slice:
        """Rows of an array that belong to an example."""
        if not array.of_tokens:
            return slice(row, row + 1)
        return slice(int(self.ends[row] - self.lengths[row]), int(self.ends[row]))

    def shape_of(self, array: Array) -> tuple[int, ...]:
        """Of the whole file."""
        return (sum(self.lengths) if array.of_tokens else len(self.lengths), *array.shape)


class TeacherCache:
    """Reads outputs; the files may be removed meanwhile, for they are held open.

    Args:
        folder: Of finished files.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        arrays = [
            Array(**{**array, "shape": tuple(array["shape"]), "states": tuple(array["states"])})
            for array in index["arrays"]
        ]
        self.files = CacheFiles(folder, arrays, index[_LENGTHS])
        self._open = {array.name: (folder / f"{array.name}.bin").open("rb") for array in arrays}

    def __len__(self) -> int:
        """Examples."""
        return len(self.files.lengths)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._open.values():
            file.close()

    def read(self, rows: Sequence[int], mask: Tensor) -> Any:
        """The teacher's outputs for a batch, in single precision on the mask's device.

        Args:
            rows: Of each example of the batch.
            mask: (examples, tokens), 1 at real tokens.

        Raises:
            DataError: an example has other tokens than when the cache was made.
        """
        wanted = [self.files.lengths[row] for row in rows]
        mask = mask.bool()
        if mask.sum(1).tolist() != wanted:
            raise DataError(
                "engine.teacher_cache: examples change from epoch to epoch, so their teacher's outputs cannot be "
                "kept; set it to false"
            )
        found = {}
        for array in self.files.arrays:
            # Mapped for this batch only: pages that were read do not count as this process's memory for long.
            file = np.memmap(self._open[array.name], array.dtype, "r", shape=self.files.shape_of(array))
            parts = np.concatenate([file[self.files.place(array, row)] for row in rows])
            del file
            found[array.name] = array.output(torch.from_numpy(parts).to(mask.device).float(), mask)
        return SimpleNamespace(**found)
