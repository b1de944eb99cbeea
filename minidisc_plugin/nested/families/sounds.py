"""Encoders of sounds, by declaration."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family, Layout, Neurons
from minidisc_plugin.nested.families.encoder_decoders import bart_heads
from minidisc_plugin.nested.families.images import VIT_LAYOUTS

_WAV2VEC2_LAYOUT = Layout(
    heads=(bart_heads("encoder.layers.*", "attention"),),
    neurons=(
        Neurons(at="encoder.layers.*", inputs=("feed_forward.intermediate_dense",), output="feed_forward.output_dense"),
    ),
)

LIKE_WAV2VEC2 = tuple(
    Family(model_type=model_type, layouts=(_WAV2VEC2_LAYOUT,))
    for model_type in ("wav2vec2", "hubert", "data2vec-audio", "sew", "unispeech", "unispeech-sat")
)

# Reads spectrograms as images.
AST = Family(model_type="audio-spectrogram-transformer", layouts=VIT_LAYOUTS)

SOUNDS = (*LIKE_WAV2VEC2, AST)
