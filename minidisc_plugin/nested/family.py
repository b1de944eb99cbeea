"""A model and its family: which one it is, which of its layouts fits, and what its layers hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.foundation.errors import ConfigError, UnsupportedModelError
from minidisc_plugin.nested.narrow import find

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

__all__ = ["Family", "Heads", "Layout", "Neurons", "encoder_parameters", "family_of", "is_known", "layout_of"]

_SAVED = "layer_layouts"


def is_known(config: PretrainedConfig, known: Mapping[str, Family]) -> bool:
    """Whether a family is declared for models of a config, or the config itself holds one that was derived."""
    return config.model_type in known or getattr(config, _SAVED, None) is not None


def save_layouts(config: Any, family: Family) -> None:
    """Write a derived family into the config of a narrow model, where `family_of` finds it again."""
    if family.derived:
        setattr(config, _SAVED, family.plain())


def family_of(config: PretrainedConfig, known: Mapping[str, Family]) -> Family:
    """The family of the models that `config` describes.

    Args:
        config: Of a model.
        known: Families by model type.

    Raises:
        UnsupportedModelError: there is none for `config.model_type`, and the message names those that are known; or
            the model uses a feature that its family cannot slice.
        ConfigError: the config holds a family that was derived, and what it holds is broken.
    """
    saved = getattr(config, _SAVED, None)
    if saved is not None:  # its sizes are in the order of these
        return Family(model_type=config.model_type, layouts=_read(saved), derived=True)
    family = known.get(config.model_type)
    if family is None:
        raise UnsupportedModelError(
            f"model: architecture {config.model_type!r} is not supported; supported: {', '.join(sorted(known))}. "
            "A plug-in can add one through the hook minidisc_register_families"
        )
    family.check(config)
    return family


def _read(saved: Any) -> tuple[Layout, ...]:
    try:
        layouts = TypeAdapter(tuple[Layout, ...]).validate_python(saved)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, (_SAVED, *first["loc"])))
        raise ConfigError(
            f"model: {where} in config.json: {first['msg']}; save the model again, or restore its config.json"
        ) from error
    if not layouts or not all(layout.heads and layout.neurons for layout in layouts):
        raise ConfigError(
            f"model: {_SAVED} in config.json has no heads or no neurons; save the model again, or restore its "
            "config.json"
        )
    return layouts


def layout_of(model: PreTrainedModel, family: Family) -> Layout:
    """The layout of a family that fits a model.

    Raises:
        UnsupportedModelError: none does.
    """
    found = [layout for layout in family.layouts if find(model.base_model, layout.places[0].at)]
    for layout in found:
        # An encoder alone lacks the layers of a decoder.
        there = [place for place in layout.places if find(model.base_model, place.at)]
        if all(find(model.base_model, f"{place.at}.{place.output}") for place in there):
            return layout
    if found:  # whose modules will be missed by name
        return found[0]
    where = " or ".join(layout.places[0].at for layout in family.layouts)
    raise UnsupportedModelError(
        f"model: {type(model).__name__} is not built as its family {family.model_type!r} declares (no {where})"
    )


def encoder_parameters(model: PreTrainedModel, family: Family) -> int:
    """Parameters of the layers of a supported model: all but embeddings, pooler and head."""
    patterns = dict.fromkeys(units.at for units in layout_of(model, family).places)
    layers = {layer for pattern in patterns for layer in find(model.base_model, pattern)}
    parameters = {id(parameter): parameter for layer in layers for parameter in layer.parameters()}
    return sum(parameter.numel() for parameter in parameters.values())
