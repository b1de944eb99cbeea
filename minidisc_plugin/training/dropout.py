"""Dropout switched off for a while, whatever way a model family spells it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

_LAYERS = "layerdrop"
# Of models of sound, which mask parts of what they hear.
_MASKS = ("mask_time_prob", "mask_feature_prob")


@contextmanager
def without_dropout(model: nn.Module, layers_alone: bool = False) -> Iterator[None]:
    """Inside, a model in training mode drops and masks nothing; its config, which a checkpoint keeps, is left alone.

    Whole layers alone (`layerdrop`) are kept where `layers_alone`: hidden states are compared layer by layer.

    Rates live in `nn.Dropout.p`, as plain numbers such as `attention_dropout`, `drop_prob` and `layerdrop` in other
    modules, or are read from the config in each pass: parts of a model are given a copy of theirs.
    """
    rates = [found for found in _rates(model) if not layers_alone or _LAYERS in found[1]]
    configs = list(_configs(model))
    copies = {id(config): _calm(config, layers_alone) for _, config in configs}
    try:
        for module, name, _ in rates:
            setattr(module, name, 0.0)
        for module, config in configs:
            module.config = copies[id(config)]
        yield
    finally:
        for module, name, value in rates:
            setattr(module, name, value)
        for module, config in configs:
            module.config = config


def drops_out(model: nn.Module) -> bool:
    """Whether a model in training mode drops or masks something."""
    return any(rate > 0 for _, _, rate in _rates(model)) or any(True for _ in _configs(model))


def _rates(model: nn.Module) -> Iterator[tuple[nn.Module, str, float]]:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            yield module, "p", module.p
            continue
        for name in _rates_of(vars(module)):
            yield module, name, vars(module)[name]


def _rates_of(values: Mapping[str, Any]) -> list[str]:
    masks = _MASKS if values.get("apply_spec_augment", True) else ()
    return [name for name, value in values.items() if isinstance(value, float) and ("drop" in name or name in masks)]


def _configs(model: nn.Module) -> Iterator[tuple[Any, Any]]:
    """Parts of a model whose passes may draw by their config; not the whole, whose config is saved."""
    from transformers import PretrainedConfig

    for module in model.modules():
        config = getattr(module, "config", None)
        if module is model or not isinstance(config, PretrainedConfig):
            continue
        values = vars(config)
        if any(values[name] > 0 for name in _rates_of(values)):
            yield module, config


def _calm(config: Any, layers_alone: bool) -> Any:
    other = copy.copy(config)
    names = [name for name in _rates_of(vars(config)) if not layers_alone or _LAYERS in name]
    vars(other).update(dict.fromkeys(names, 0.0))
    return other
