"""Sizes that `config.json` gives: whole numbers above 0, and no more than the weights can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError

# Of every family, by the names that their configs give them.
_LAYERS = (
    "num_hidden_layers",
    "num_layers",
    "num_decoder_layers",
    "encoder_layers",
    "decoder_layers",
    "n_layers",
    "n_layer",
)
_HEADS = (
    "num_attention_heads",
    "num_key_value_heads",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "num_heads",
    "n_heads",
    "n_head",
)
_WIDTHS = (
    "hidden_size",
    "embedding_size",
    "intermediate_size",
    "vocab_size",
    "d_model",
    "d_ff",
    "d_kv",
    "dim",
    "hidden_dim",
    "n_embd",
    "n_inner",
    "head_dim",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
)
# A model may have none of these.
_MAYBE_NONE = ("type_vocab_size",)
_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx")
# Null means that it follows from others.
_NULLABLE = ("num_key_value_heads", "num_decoder_layers", "n_inner", "head_dim", "embedding_size")
# More than any model has; for what weights need not have: positions may be computed, layers may be shared.
_MOST_POSITIONS = 100_000_000
_MOST_LAYERS = 1_000
# transformers gives each a name, in a mapping.
_CLASSES = "num_labels"
_MOST_CLASSES = 1_000_000


def check_sizes(config: Mapping[str, Any], where: str, *, numbers: int | None = None, tensors: int = 0) -> None:
    """Refuse sizes that no model can have, before anything of such a size is made.

    Args:
        config: What `config.json` holds.
        where: Its folder, as a message begins.
        numbers: How many the weights have in all; None where they are not at hand.
        tensors: How many tensors the weights are.

    Raises:
        ConfigError: names the key, the value and the remedy.
    """
    most_numbers = _MOST_POSITIONS if numbers is None else numbers
    limits = {
        **dict.fromkeys(_LAYERS, max(tensors, _MOST_LAYERS)),
        **dict.fromkeys((*_HEADS, *_WIDTHS, *_MAYBE_NONE), most_numbers),
        _CLASSES: min(most_numbers, _MOST_CLASSES),
        **dict.fromkeys(_POSITIONS, max(most_numbers, _MOST_POSITIONS)),
    }
    for key, limit in limits.items():
        if key not in config or (config[key] is None and key in _NULLABLE):
            continue
        value = config[key]
        if isinstance(value, list) and value and key in (*_HEADS, *_LAYERS):  # of each stage
            continue
        least = 0 if key in _MAYBE_NONE else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(
                f"{where}: {key} in config.json is {value!r}, not a whole number from {least} on; correct it"
            )
        if value > limit:
            held = f"the weights are {tensors} tensors of {numbers} numbers in all" if numbers else "no model has that"
            raise ConfigError(f"{where}: {key} in config.json is {value}, and {held}; correct it")
