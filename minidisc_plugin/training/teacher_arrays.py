"""A frozen teacher's outputs as arrays, and where each example's rows are in the file of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minidisc_plugin.foundation.errors import DataError


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

    @property
    def torch_dtype(self) -> torch.dtype:
        """The same, as torch calls it."""
        return torch.float16 if self.of_tokens else torch.float32

    @property
    def row_bytes(self) -> int:
        """Bytes of one example's or token's part."""
        return math.prod(self.shape) * self.dtype.itemsize

    def size(self, examples: int, tokens: int) -> int:
        """Bytes of the file."""
        return (tokens if self.of_tokens else examples) * self.row_bytes

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
        return self._by_state(whole)

    def parted(self, whole: Tensor) -> Any:
        """(examples, tokens, *shape) as the teacher gives it: a tensor, or a tuple of states."""
        return self._by_state(whole.movedim(2, 0)) if self.states else whole

    def _by_state(self, whole: Tensor) -> tuple[Any, ...]:
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
            if not states:
                continue
            shape = tuple(value[0].shape[2:])
            if any(tuple(state.shape[:2]) != tuple(mask.shape) for state in value):
                raise DataError(f"engine.teacher_cache: the teacher's {name!r} is not one row a token")
            arrays.append(Array(name, (len(states), *shape), True, states, len(value)))
        elif _is_of_tokens(name, value, mask):
            arrays.append(Array(name, tuple(value.shape[2:]), True))
        elif len(value) == len(mask):
            arrays.append(Array(name, tuple(value.shape[1:]), False))
        else:
            raise DataError(f"engine.teacher_cache: the teacher's {name!r} is neither of examples nor of tokens")
    return arrays


def _is_of_tokens(name: str, value: Tensor, mask: Tensor) -> bool:
    """Whether an output has a row for each token; an example may have as many tokens as a classifier has classes."""
    return tuple(value.shape[:2]) == tuple(mask.shape) and not (name == "logits" and value.dim() == 2)


class Layout:
    """Which rows of each array belong to which example.

    Args:
        arrays: What is kept.
        lengths: Real tokens of each example.
    """

    def __init__(self, arrays: Sequence[Array], lengths: Sequence[int]) -> None:
        self.arrays = list(arrays)
        self.lengths = list(lengths)
        self._ends = np.cumsum(self.lengths)

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(self.size(array) for array in self.arrays)

    def size(self, array: Array) -> int:
        """Bytes of an array's file."""
        return array.size(len(self.lengths), sum(self.lengths))

    def place(self, array: Array, row: int) -> slice:
        """Rows of an array that belong to an example."""
        if not array.of_tokens:
            return slice(row, row + 1)
        return slice(int(self._ends[row] - self.lengths[row]), int(self._ends[row]))
