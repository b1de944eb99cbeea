"""A teacher's kept outputs in the memory of an accelerator: a batch's are gathered there, and nothing is waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.training.teacher_cache import CHANGED

if TYPE_CHECKING:
    from minidisc_plugin.training.teacher_arrays import Array
    from minidisc_plugin.training.teacher_cache import TeacherCache

# Of the memory that is free when a stage begins: network, gradients, optimizer and activations need theirs.
_SHARE = 0.25
# Read and moved at a time, bytes.
_PART = 2**26
# Waiting for the device at each batch would cost more than the batch.
_CHECKED_EVERY = 16


class ResidentOutputs:
    """As TeacherCache, whose files it reads once; `room` says whether they fit.

    Args:
        cache: The files.
        device: Of the stage.

    Attributes:
        tokens: See TeacherCache.
    """

    def __init__(self, cache: TeacherCache, device: torch.device) -> None:
        layout = cache.layout
        ends = np.cumsum(layout.lengths)
        self.tokens = cache.tokens
        self._lengths = torch.tensor(layout.lengths, device=device)
        self._starts = torch.from_numpy(ends).to(device) - self._lengths
        self._arrays = [(array, _moved(cache, array, device)) for array in layout.arrays]
        self._last = int(ends[-1]) - 1
        self._differs = torch.zeros((), dtype=torch.bool, device=device)
        self._reads = 0

    @staticmethod
    def room(cache: TeacherCache, device: torch.device) -> bool:
        """Whether the device is an accelerator with memory to spare for them."""
        if device.type != "cuda":
            return False
        free, _ = torch.cuda.mem_get_info(device)
        return cache.layout.bytes <= _SHARE * free

    def read(self, rows: Tensor, mask: Tensor) -> Any:
        """The teacher's outputs for a batch, in single precision; zeros stand where it is padded.

        Args:
            rows: (examples,) of each example of the batch, on the device.
            mask: (examples, tokens), 1 at real tokens.

        Raises:
            DataError: an example of this batch, or of one of the few before, has other tokens than when they were kept.
                `check` finds what came after the last look.
        """
        mask = mask.bool()
        self._differs |= (mask.sum(1) != self._lengths[rows]).any()
        self._reads += 1
        if self._reads % _CHECKED_EVERY == 1:
            self.check()
        places = (self._starts[rows, None] + mask.cumsum(1) - 1).clamp(0, self._last)
        found: dict[str, Any] = {"hidden_states": None}  # as models say it that were not asked for them
        for array, values in self._arrays:
            if not array.of_tokens:
                found[array.name] = values[rows].float()
                continue
            whole = values[places].float()
            whole.masked_fill_(~mask.view(*mask.shape, *[1] * (whole.dim() - 2)), 0.0)
            found[array.name] = array.parted(whole)
        return SimpleNamespace(**found)

    def check(self) -> None:
        """Look whether all examples so far were those whose outputs were kept; waits for the device.

        Raises:
            DataError: one was not.
        """
        if bool(self._differs):
            raise DataError(CHANGED)


def _moved(cache: TeacherCache, array: Array, device: torch.device) -> Tensor:
    """An array's file on the device, (rows, *shape)."""
    rows = cache.layout.size(array) // array.row_bytes
    whole = torch.empty((rows, *array.shape), dtype=array.torch_dtype, device=device)
    count = max(1, _PART // array.row_bytes)
    for start in range(0, rows, count):
        part = whole[start : start + count]
        part.copy_(torch.from_numpy(cache.rows(array, start, len(part))))
    return whole
