"""A model and its family: which one it is, which of its layouts fits, and what its layers hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.nested.narrow import find

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

__all__ = ["Family", "Heads", "Layout", "Neurons", "encoder_parameters", "family_of", "layout_of"]


def family_of(config: PretrainedConfig, known: Mapping[str, Family]) -> Family:
    """The family of the models that `config` describes.

    Args:
        config: Of a model.
        known: Families by model type.

    Raises:
        UnsupportedModelError: there is none for `config.model_type`, and the message names those that are known; or
            the model uses a feature that its family cannot slice.
    """
    family = known.get(config.model_type)
    if family is None:
        raise UnsupportedModelError(
            f"model: architecture {config.model_type!r} is not supported; supported: {', '.join(sorted(known))}. "
            "A plug-in can add one through the hook minidisc_register_families"
        )
    family.check(config)
    return family


def layout_of(model: PreTrainedModel, family: Family) -> Layout:
    """The layout of a family that fits a model.

    Raises:
        UnsupportedModelError: none does.
    """
    found = [layout for layout in family.layouts if find(model.base_model, layout.heads[0].at)]
    for layout in found:
        if find(model.base_model, f"{layout.heads[0].at}.{layout.heads[0].output}"):
            return layout
    if found:  # whose modules will be missed by name
        return found[0]
    where = " or ".join(layout.heads[0].at for layout in family.layouts)
    raise UnsupportedModelError(
        f"model: {type(model).__name__} is not built as its family {family.model_type!r} declares (no {where})"
    )


def encoder_parameters(model: PreTrainedModel, family: Family) -> int:
    """Parameters of the layers of a supported model: all but embeddings, pooler and head."""
    patterns = dict.fromkeys(units.at for units in layout_of(model, family).places)
    layers = {layer for pattern in patterns for layer in find(model.base_model, pattern)}
    parameters = {id(parameter): parameter for layer in layers for parameter in layer.parameters()}
    return sum(parameter.numel() for parameter in parameters.values())
