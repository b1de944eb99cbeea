"""Configs of tiny models, by what their architectures have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers
from transformers import PretrainedConfig

VOCABULARY, LABELS = 64, 3


def encoder(name: str, **settings: Any) -> Callable[[], PretrainedConfig]:
    """The config `name`, with what encoders and decoders without special names have in common."""
    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 40,
        "num_labels": LABELS,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return lambda: getattr(transformers, name)(**(common | settings))


def other(name: str, **settings: Any) -> Callable[[], PretrainedConfig]:
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "num_labels": LABELS}
    return lambda: getattr(transformers, name)(**(tokens | settings))


DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
GROUPED = {"num_key_value_heads": 2}
T5 = {
    "decoder_start_token_id": 0,
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
}
BART = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
}

IMAGE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 16,
    "patch_size": 4,
}
WAV2VEC2 = {
    "vocab_size": 32,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (8, 8),
    "conv_kernel": (8, 4),
    "conv_stride": (5, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 16,
}
WHISPER = {
    **{name: value for name, value in BART.items() if name != "max_position_embeddings"},
    "max_source_positions": 20,
    "max_target_positions": 40,
    "num_mel_bins": 16,
    "classifier_proj_size": 16,
}
AST = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "patch_size": 8,
    "frequency_stride": 8,
    "time_stride": 8,
    "max_length": 40,
    "num_mel_bins": 16,
}
