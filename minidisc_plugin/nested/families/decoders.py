"""Decoders of text, by declaration."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons

GPT2 = Family(
    model_type="gpt2",
    layouts=(
        Layout(
            heads=(
                Heads(
                    at="h.*",
                    attention="attn",
                    inputs=("attn.c_attn",),
                    fused=3,
                    output="attn.c_proj",
                    head_size="head_dim",
                    counts=("num_heads",),
                    widths=("split_size", "embed_dim"),
                ),
            ),
            neurons=(Neurons(at="h.*", inputs=("mlp.c_fc",), output="mlp.c_proj"),),
        ),
    ),
    refuses=(("add_cross_attention", "its own attention only is"),),
)


_GATED = (("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj")
_PLAIN = (("mlp.up_proj",), "mlp.down_proj")


_NORMS_OF_HEADS = "a norm with weights of its own for every head cannot be sliced"
_STOCK = (
    ("num_attention_heads", "heads"),
    ("num_key_value_heads", "groups"),
    ("head_dim", "head_size"),
    ("intermediate_size", "neurons"),
)


def like_llama(
    model_type: str,
    neurons: tuple[tuple[str, ...], str] = _GATED,
    output: str = "o_proj",
    *,
    fused: int = 1,
    at: tuple[str, ...] = ("layers.*",),
    even_heads: bool = False,
    stock: bool = True,
    refuses: tuple[tuple[str, str], ...] = (),
) -> Family:
    """Grouped queries; the feed-forward network by its inputs and its output; the layers, by release."""
    inputs, reads = neurons
    return Family(
        model_type=model_type,
        layouts=tuple(
            Layout(
                heads=(
                    Heads(
                        at=layers,
                        attention="self_attn",
                        inputs=("self_attn.q_proj",),
                        grouped=("self_attn.k_proj", "self_attn.v_proj"),
                        output=f"self_attn.{output}",
                        head_size="head_dim",
                        counts=("num_heads", "num_attention_heads"),
                        widths=("hidden_size",),
                        groups=("num_key_value_heads",),
                    ),
                ),
                neurons=(Neurons(at=layers, inputs=inputs, output=reads, fused=fused),),
            )
            for layers in at
        ),
        stock=_STOCK if stock else (),
        even_heads=even_heads,
        refuses=refuses,
    )


LIKE_LLAMA = (
    like_llama("llama", even_heads=True),
    *(
        like_llama(model_type)
        for model_type in (
            "mistral",
            "qwen2",
            "qwen3",
            "gemma",
            "gemma2",
            "granite",
            "smollm3",
            "olmo",
            "cohere2",
            "ernie4_5",
            "exaone4",
            "hunyuan_v1_dense",
            "seed_oss",
        )
    ),
    *(like_llama(model_type, (("mlp.gate_up_proj",), "mlp.down_proj"), fused=2) for model_type in ("glm", "glm4")),
    like_llama("helium", stock=False),
    like_llama("cohere", refuses=(("use_qk_norm", _NORMS_OF_HEADS),)),
    like_llama("stablelm", stock=False, refuses=(("qk_layernorm", _NORMS_OF_HEADS),)),
    # Up to transformers 4 its language model is its own base model.
    like_llama("gemma3_text", at=("layers.*", "model.layers.*")),
    like_llama("arcee", _PLAIN),
    like_llama("nemotron", _PLAIN),
    like_llama("starcoder2", (("mlp.c_fc",), "mlp.c_proj")),
    like_llama("phi", (("mlp.fc1",), "mlp.fc2"), "dense"),
)


def _own_projections(
    model_type: str, at: str, attention: str, neurons: tuple[str, str], counts: tuple[str, ...] = ("num_heads",)
) -> Family:
    """Projections of their own for query, key and value, all heads alike; a feed-forward network that is not gated."""
    names = [f"{attention}.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")]
    heads = Heads(
        at=at,
        attention=attention,
        inputs=tuple(names[:3]),
        output=names[3],
        head_size="head_dim",
        counts=counts,
        widths=("embed_dim",),
    )
    inner, outer = neurons
    return Family(
        model_type=model_type,
        layouts=(Layout(heads=(heads,), neurons=(Neurons(at=at, inputs=(inner,), output=outer),)),),
    )


# Query, key and value of a head lie together.
GPT_NEOX = Family(
    model_type="gpt_neox",
    layouts=(
        Layout(
            heads=(
                Heads(
                    at="layers.*",
                    attention="attention",
                    inputs=("attention.query_key_value",),
                    output="attention.dense",
                    head_size="head_size",
                    widths=("hidden_size",),
                ),
            ),
            neurons=(Neurons(at="layers.*", inputs=("mlp.dense_h_to_4h",), output="mlp.dense_4h_to_h"),),
        ),
    ),
)

OTHERS = (
    GPT_NEOX,
    _own_projections("opt", "decoder.layers.*", "self_attn", ("fc1", "fc2")),
    _own_projections("biogpt", "layers.*", "self_attn", ("fc1", "fc2")),
    _own_projections("xglm", "layers.*", "self_attn", ("fc1", "fc2")),
    _own_projections("gpt_neo", "h.*", "attn.attention", ("mlp.c_fc", "mlp.c_proj")),
    _own_projections("gptj", "h.*", "attn", ("mlp.fc_in", "mlp.fc_out"), ("num_attention_heads",)),
)

DECODERS = (GPT2, *LIKE_LLAMA, *OTHERS)
