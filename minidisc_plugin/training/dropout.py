"""Dropout switched off for a while, whatever way a model family spells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Inside, a model in training mode drops nothing; its config is left alone, so that a checkpoint keeps its rates.

    Rates live in `nn.Dropout.p`, or as plain numbers such as `attention_dropout` and `layerdrop` in other modules.
    """
    rates = list(_rates(model))
    try:
        for module, name, _ in rates:
            setattr(module, name, 0.0)
        yield
    finally:
        for module, name, value in rates:
            setattr(module, name, value)


def drops_out(model: nn.Module) -> bool:
    """Whether a model in training mode drops something."""
    return any(rate > 0 for _, _, rate in _rates(model))


def _rates(model: nn.Module) -> Iterator[tuple[nn.Module, str, float]]:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            yield module, "p", module.p
            continue
        for name, value in vars(module).items():
            if isinstance(value, float) and ("dropout" in name or name == "layerdrop"):
                yield module, name, value
