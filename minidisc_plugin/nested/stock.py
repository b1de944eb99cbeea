"""Uniform slices as stock checkpoints: configs that say themselves how wide every layer is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.nested.family import layout_of
from minidisc_plugin.nested.narrow import axes, find

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def as_uniform(
    model: PreTrainedModel,
    base: type[PreTrainedModel],
    family: Family,
    heads: Sequence[int],
    neurons: Sequence[int],
) -> PretrainedConfig | None:
    """A config by which the stock class `base` makes a model of exactly these sizes; None where there is none.

    Args:
        model: The narrow model, of plain modules.
        base: The class of transformers that it is made of.
        family: Its family.
        heads: Units of every attention.
        neurons: Neurons of every feed-forward network.
    """
    if not family.stock or len(set(heads)) != 1 or len(set(neurons)) != 1 or not (heads[0] and neurons[0]):
        return None
    attention = layout_of(model, family).heads[0]
    layer = find(model.base_model, attention.at)[0]
    head_size = int(getattr(layer.get_submodule(attention.attention), attention.head_size))
    output = layer.get_submodule(attention.output)
    sizes = {
        "heads": output.weight.shape[axes(output)[1]] // head_size,
        "groups": heads[0],
        "head_size": head_size,
        "neurons": neurons[0],
    }
    if family.even_heads and model.config.hidden_size % sizes["heads"]:
        return None
    changes = {attribute: sizes[meaning] for attribute, meaning in family.stock}
    return _config_that_fits(model, base, changes)


def _config_that_fits(model: PreTrainedModel, base: Any, changes: dict[str, int]) -> PretrainedConfig | None:
    """The model's config with changes, if a model made from it takes the weights as they are."""
    config = copy.deepcopy(model.config)
    config.__dict__.pop("layer_sizes", None)
    config.__dict__.pop("auto_map", None)
    try:
        for attribute, value in changes.items():
            setattr(config, attribute, value)
        reread = type(config).from_dict(config.to_dict())
        with torch.device("meta"):
            made = base(reread)
    except Exception:  # each release and family has limits of its own, and errors of its own for them
        return None
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    return config if shapes == {name: tuple(value.shape) for name, value in made.state_dict().items()} else None
