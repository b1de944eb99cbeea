"""Embeddings looked up by all scales of a step: tables are never sliced, and their gradients are the largest of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn


class SharedLookups:
    """Collects the gradient of every lookup over the scales of a step; the last scale's backward pass takes it on.

    The gradient of a table is as large as the table, whatever few rows a batch has; so it is made once a step.

    Args:
        model: Whose tables are shared; it is given the same batch at each scale.
    """

    def __init__(self, model: nn.Module) -> None:
        # Derived kinds may be sliced, or look up in another way.
        self._tables = [module for module in model.modules() if type(module) is nn.Embedding]
        self._shared: list[Tensor] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around all scales of a step."""
        try:
            yield
        finally:
            self._shared = []

    @contextmanager
    def scale(self, last: bool) -> Iterator[None]:
        """Around the passes of one scale."""
        calls = 0

        def hook(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
            nonlocal calls
            if not output.requires_grad:
                return output
            place, calls = calls, calls + 1
            if not last:
                if place == len(self._shared):
                    self._shared.append(output.detach().requires_grad_())
                return self._shared[place]
            if place < len(self._shared):
                output.register_hook(partial(_plus, self._shared[place]))  # type: ignore[no-untyped-call]
            return output

        handles = [table.register_forward_hook(hook) for table in self._tables]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _plus(shared: Tensor, own: Tensor) -> Tensor:
    """The gradient of the last scale's lookup, and what the other scales' passes left."""
    return own if shared.grad is None else own + shared.grad
