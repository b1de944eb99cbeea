"""Random inputs that a model of any kind computes, and its outputs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minidisc_plugin.foundation.decoders import has_decoder
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.tasks.registry import task_of_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Pixels of a model that takes images of any size.
_TOKENS, _SAMPLES, _PIXELS = 16, 4000, 64


def probe_inputs(model: PreTrainedModel) -> dict[str, Any]:
    """An example of random tokens (of one choice, where a model chooses), pixels or sound, by its main input's name.

    Raises:
        UnsupportedModelError: its main input is none of these.
    """
    generator = torch.Generator().manual_seed(0)
    name, dtype = model.main_input_name, next(model.parameters()).dtype
    inputs: dict[str, Any]
    if name == "input_ids":
        ids = _tokens(model, generator)
        inputs = {name: ids.unsqueeze(1) if task_of_model(model).chooses else ids}
    elif name in ("pixel_values", "input_values", "input_features"):
        shape = (1, *_shape_of(name, model.config))
        inputs = {name: torch.randn(shape, generator=generator, dtype=dtype)}
    else:
        raise UnsupportedModelError(
            f"{type(model).__name__} reads {name!r}, which is neither tokens nor pixels nor sound"
        )
    if has_decoder(model):
        inputs["decoder_input_ids"] = _tokens(model, generator)
    if "use_cache" in inspect.signature(model.forward).parameters:
        inputs["use_cache"] = False
    return inputs


def _shape_of(name: str, config: Any) -> tuple[int, ...]:
    """Of one picture, of a sound as samples, or of a sound as a spectrogram, in the layout of the model's kind."""
    if name == "pixel_values":
        config = getattr(config, "vision_config", config)
        size = getattr(config, "image_size", _PIXELS)
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return getattr(config, "num_channels", 3), height, width
    bands = getattr(config, "num_mel_bins", None)
    if name == "input_values":
        return (_SAMPLES,) if bands is None else (config.max_length, bands)
    if (width := getattr(config, "feature_projection_input_dim", None)) is not None:  # of Wav2Vec2-BERT
        return _TOKENS, width
    return bands or 80, 2 * getattr(config, "max_source_positions", _SAMPLES)


def floats(found: Any) -> Iterator[Tensor]:
    """Every floating tensor of a model's outputs."""
    if isinstance(found, Tensor):
        if found.is_floating_point():
            yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from floats(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from floats(value)


def _tokens(model: PreTrainedModel, generator: torch.Generator) -> Tensor:
    """(1, tokens) ids, none of them special but the last, which ends the text."""
    config = model.config.get_text_config()
    special = {
        value
        for name in ("pad_token_id", "bos_token_id", "eos_token_id")
        for value in _several(getattr(config, name, None))
    }
    plain = torch.tensor([token for token in range(min(config.vocab_size, 1000)) if token not in special])
    ids = plain[torch.randint(len(plain), (1, _TOKENS), generator=generator)]
    end = _several(getattr(config, "eos_token_id", None))
    if end and end[0] < config.vocab_size:
        ids[:, -1] = end[0]
    return ids


def _several(value: Any) -> list[int]:
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]
