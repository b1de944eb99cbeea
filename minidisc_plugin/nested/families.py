"""The families that ship with this package: declarations only."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons

_ENCODERS_ONLY = (("is_decoder", "only encoders are"), ("add_cross_attention", "only encoders are"))


_BERT_NEURONS = Neurons(at="encoder.layer.*", inputs=("intermediate.dense",), output="output.dense")


def _bert_heads(attention: str, names: tuple[str, str, str], optional: tuple[str, ...] = ()) -> Heads:
    """Projections of their own for query, key and value; the output projection beside the module that has them."""
    return Heads(
        at="encoder.layer.*",
        attention=attention,
        inputs=tuple(f"{attention}.{name}" for name in names),
        optional=tuple(f"{attention}.{name}" for name in optional),
        output="attention.output.dense",
    )


def _like_bert(model_type: str) -> Family:
    heads = _bert_heads("attention.self", ("query", "key", "value"))
    return Family(
        model_type=model_type, layouts=(Layout(heads=(heads,), neurons=(_BERT_NEURONS,)),), refuses=_ENCODERS_ONLY
    )


BERT = _like_bert("bert")
ROBERTA = _like_bert("roberta")
XLM_ROBERTA = _like_bert("xlm-roberta")
ELECTRA = _like_bert("electra")

DISTILBERT = Family(
    model_type="distilbert",
    layouts=(
        Layout(
            heads=(
                Heads(
                    at="transformer.layer.*",
                    attention="attention",
                    inputs=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
                    output="attention.out_lin",
                    counts=("n_heads",),
                    widths=("dim",),
                ),
            ),
            neurons=(Neurons(at="transformer.layer.*", inputs=("ffn.lin1",), output="ffn.lin2"),),
        ),
    ),
)

# Its layers share their weights, so one set of slices serves all of them.
ALBERT = Family(
    model_type="albert",
    layouts=(
        Layout(
            heads=(
                Heads(
                    at="encoder.albert_layer_groups.*.albert_layers.*",
                    attention="attention",
                    inputs=("attention.query", "attention.key", "attention.value"),
                    output="attention.dense",
                ),
            ),
            neurons=(
                Neurons(at="encoder.albert_layer_groups.*.albert_layers.*", inputs=("ffn",), output="ffn_output"),
            ),
        ),
    ),
)

DEBERTA_V2 = Family(
    model_type="deberta-v2",
    layouts=(
        Layout(
            heads=(
                _bert_heads(
                    "attention.self", ("query_proj", "key_proj", "value_proj"), ("pos_key_proj", "pos_query_proj")
                ),
            ),
            neurons=(_BERT_NEURONS,),
        ),
    ),
)

MPNET = Family(
    model_type="mpnet",
    layouts=(
        Layout(
            heads=(
                Heads(
                    at="encoder.layer.*",
                    attention="attention.attn",
                    inputs=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
                    output="attention.attn.o",
                    tied=True,
                    tables=("encoder.relative_attention_bias",),
                ),
            ),
            neurons=(_BERT_NEURONS,),
        ),
    ),
)

MODERNBERT = Family(
    model_type="modernbert",
    layouts=(
        Layout(
            heads=(
                Heads(
                    at="layers.*",
                    attention="attn",
                    inputs=("attn.Wqkv",),
                    fused=3,
                    output="attn.Wo",
                    head_size="head_dim",
                    counts=("num_heads",),
                ),
            ),
            neurons=(Neurons(at="layers.*", inputs=("mlp.Wi",), fused=2, output="mlp.Wo"),),
        ),
    ),
)


def _t5_attention(at: str, path: str, table: str | None) -> Heads:
    """Position biases have one entry a head and go from the first layer to the others."""
    return Heads(
        at=at,
        attention=path,
        inputs=(f"{path}.q", f"{path}.k", f"{path}.v"),
        output=f"{path}.o",
        head_size="key_value_proj_dim",
        counts=("n_heads",),
        widths=("inner_dim",),
        tied=True,
        tables=() if table is None else (f"{table}.relative_attention_bias",),
    )


def _t5_neurons(at: str, path: str) -> Neurons:
    return Neurons(at=at, optional=(f"{path}.wi", f"{path}.wi_0", f"{path}.wi_1"), output=f"{path}.wo")


T5 = Family(
    model_type="t5",
    layouts=(
        Layout(
            heads=(
                _t5_attention("encoder.block.*", "layer.0.SelfAttention", "encoder.block.0.layer.0.SelfAttention"),
                _t5_attention("decoder.block.*", "layer.0.SelfAttention", "decoder.block.0.layer.0.SelfAttention"),
                _t5_attention("decoder.block.*", "layer.1.EncDecAttention", None),
            ),
            neurons=(
                _t5_neurons("encoder.block.*", "layer.1.DenseReluDense"),
                _t5_neurons("decoder.block.*", "layer.2.DenseReluDense"),
            ),
        ),
    ),
    stock=(("num_heads", "heads"), ("d_kv", "head_size"), ("d_ff", "neurons")),
)


def _bart_attention(at: str, path: str) -> Heads:
    return Heads(
        at=at,
        attention=path,
        inputs=(f"{path}.q_proj", f"{path}.k_proj", f"{path}.v_proj"),
        output=f"{path}.out_proj",
        head_size="head_dim",
        counts=("num_heads",),
        widths=("embed_dim",),
    )


BART = Family(
    model_type="bart",
    layouts=(
        Layout(
            heads=(
                _bart_attention("encoder.layers.*", "self_attn"),
                _bart_attention("decoder.layers.*", "self_attn"),
                _bart_attention("decoder.layers.*", "encoder_attn"),
            ),
            neurons=(
                Neurons(at="encoder.layers.*", inputs=("fc1",), output="fc2"),
                Neurons(at="decoder.layers.*", inputs=("fc1",), output="fc2"),
            ),
        ),
    ),
)

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


def _like_llama(model_type: str, even_heads: bool = False) -> Family:
    """Grouped queries and a gated feed-forward network."""
    return Family(
        model_type=model_type,
        layouts=(
            Layout(
                heads=(
                    Heads(
                        at="layers.*",
                        attention="self_attn",
                        inputs=("self_attn.q_proj",),
                        grouped=("self_attn.k_proj", "self_attn.v_proj"),
                        output="self_attn.o_proj",
                        head_size="head_dim",
                        counts=("num_heads",),
                        widths=("hidden_size",),
                        groups=("num_key_value_heads",),
                    ),
                ),
                neurons=(Neurons(at="layers.*", inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj"),),
            ),
        ),
        stock=(
            ("num_attention_heads", "heads"),
            ("num_key_value_heads", "groups"),
            ("head_dim", "head_size"),
            ("intermediate_size", "neurons"),
        ),
        even_heads=even_heads,
    )


LLAMA = _like_llama("llama", even_heads=True)
MISTRAL = _like_llama("mistral")
QWEN2 = _like_llama("qwen2")
QWEN3 = _like_llama("qwen3")
GEMMA = _like_llama("gemma")

VIT = Family(
    model_type="vit",
    layouts=(
        Layout(
            heads=(_bert_heads("attention.attention", ("query", "key", "value")),),
            neurons=(_BERT_NEURONS,),
        ),
        Layout(  # since transformers 5
            heads=(
                Heads(
                    at="layers.*",
                    attention="attention",
                    inputs=("attention.q_proj", "attention.k_proj", "attention.v_proj"),
                    output="attention.o_proj",
                    head_size="head_dim",
                ),
            ),
            neurons=(Neurons(at="layers.*", inputs=("mlp.fc1",), output="mlp.fc2"),),
        ),
    ),
)

FAMILIES: tuple[Family, ...] = (
    BERT,
    ROBERTA,
    XLM_ROBERTA,
    ELECTRA,
    DISTILBERT,
    ALBERT,
    DEBERTA_V2,
    MPNET,
    MODERNBERT,
    T5,
    BART,
    GPT2,
    LLAMA,
    MISTRAL,
    QWEN2,
    QWEN3,
    GEMMA,
    VIT,
)
