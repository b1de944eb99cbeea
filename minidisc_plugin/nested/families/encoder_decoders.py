"""Encoder-decoders of text, and of sound, by declaration."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons


def _t5_attention(at: str, path: str, table: str | None, tied: bool = True) -> Heads:
    """Position biases have one entry a head; where layers are tied, they go from the first layer to the others."""
    return Heads(
        at=at,
        attention=path,
        inputs=(f"{path}.q", f"{path}.k", f"{path}.v"),
        output=f"{path}.o",
        head_size="key_value_proj_dim",
        counts=("n_heads",),
        widths=("inner_dim",),
        tied=tied,
        tables=() if table is None else (f"{table}.relative_attention_bias",),
    )


def _t5_neurons(at: str, path: str) -> Neurons:
    return Neurons(at=at, optional=(f"{path}.wi", f"{path}.wi_0", f"{path}.wi_1"), output=f"{path}.wo")


_T5_LAYOUT = Layout(
    heads=(
        _t5_attention("encoder.block.*", "layer.0.SelfAttention", "encoder.block.0.layer.0.SelfAttention"),
        _t5_attention("decoder.block.*", "layer.0.SelfAttention", "decoder.block.0.layer.0.SelfAttention"),
        _t5_attention("decoder.block.*", "layer.1.EncDecAttention", None),
    ),
    neurons=(
        _t5_neurons("encoder.block.*", "layer.1.DenseReluDense"),
        _t5_neurons("decoder.block.*", "layer.2.DenseReluDense"),
    ),
)
_T5_STOCK = (("num_heads", "heads"), ("d_kv", "head_size"), ("d_ff", "neurons"))

# Every layer has position biases of its own.
_UMT5_LAYOUT = Layout(
    heads=(
        _t5_attention("encoder.block.*", "layer.0.SelfAttention", "layer.0.SelfAttention", tied=False),
        _t5_attention("decoder.block.*", "layer.0.SelfAttention", "layer.0.SelfAttention", tied=False),
        _t5_attention("decoder.block.*", "layer.1.EncDecAttention", None, tied=False),
    ),
    neurons=_T5_LAYOUT.neurons,
)

LIKE_T5 = (
    *(Family(model_type=model_type, layouts=(_T5_LAYOUT,), stock=_T5_STOCK) for model_type in ("t5", "mt5")),
    Family(model_type="umt5", layouts=(_UMT5_LAYOUT,), stock=_T5_STOCK),
)


def bart_heads(at: str, path: str) -> Heads:
    """Projections of their own for query, key, value and output, within the attention."""
    return Heads(
        at=at,
        attention=path,
        inputs=(f"{path}.q_proj", f"{path}.k_proj", f"{path}.v_proj"),
        output=f"{path}.out_proj",
        head_size="head_dim",
        counts=("num_heads",),
        widths=("embed_dim",),
    )


_BART_LAYOUT = Layout(
    heads=(
        bart_heads("encoder.layers.*", "self_attn"),
        bart_heads("decoder.layers.*", "self_attn"),
        bart_heads("decoder.layers.*", "encoder_attn"),
    ),
    neurons=(
        Neurons(at="encoder.layers.*", inputs=("fc1",), output="fc2"),
        Neurons(at="decoder.layers.*", inputs=("fc1",), output="fc2"),
    ),
)

LIKE_BART = tuple(
    Family(model_type=model_type, layouts=(_BART_LAYOUT,))
    for model_type in (
        "bart",
        "blenderbot",
        "blenderbot-small",
        "m2m_100",
        "marian",
        "mbart",
        "pegasus",
        "plbart",
        "whisper",
    )
)

ENCODER_DECODERS = (*LIKE_T5, *LIKE_BART)
