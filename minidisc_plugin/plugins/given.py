"""Tensors that an objective is given and may not write into, for the other scales of a step read them, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


class Given:
    """Outputs or batches as they are before a call.

    Args:
        copies: Compare what they hold, too; else writing past torch's own count of it, by `.data`, is not seen.
        **parts: By what each is called in messages.
    """

    def __init__(self, *, copies: bool = False, **parts: Any) -> None:
        self._before = {name: list(tensors_of(part)) for name, part in parts.items()}
        self._counts = {name: _counts(tensors) for name, tensors in self._before.items()}
        self._copies = {name: [tensor.clone() for tensor in found] for name, found in self._before.items() if copies}

    def changed(self, **parts: Any) -> str | None:
        """Which part is no longer what it was; None where all are."""
        for name, before in self._before.items():
            now = list(tensors_of(parts[name]))
            same = len(now) == len(before) and all(one is other for one, other in zip(now, before, strict=True))
            if not same or _counts(now) != self._counts[name]:
                return name
            for tensor, copy in zip(now, self._copies.get(name, ()), strict=False):
                if not tensor.allclose(copy, rtol=0, atol=0, equal_nan=True):
                    return name
        return None


def tensors_of(part: Any) -> Iterator[Tensor]:
    """The tensors that a model's output, a batch, or a part of them holds."""
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, (Mapping, tuple, list)):
        for each in part.values() if isinstance(part, Mapping) else part:
            yield from tensors_of(each)
    elif hasattr(part, "__dict__"):
        yield from tensors_of(vars(part))


def _counts(tensors: list[Tensor]) -> list[int]:
    """How often each was written into, as autograd counts it."""
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]
