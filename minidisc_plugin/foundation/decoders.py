"""Whether a model has a decoder beside its encoder: its config alone may be that of a larger model."""

from __future__ import annotations

import inspect
from typing import Any

DECODER_INPUTS = "decoder_input_ids"
"""What models of transformers call the text that a decoder is given."""


def has_decoder(model: Any) -> bool:
    """Whether a model is given a text for its decoder; `WhisperForAudioClassification` is made of an encoder only."""
    return bool(model.config.is_encoder_decoder) and DECODER_INPUTS in inspect.signature(model.forward).parameters
