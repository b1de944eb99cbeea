"""Encoders of text, by declaration."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.nested.families.decoders import like_llama

_ENCODERS_ONLY = (("is_decoder", "only encoders are"), ("add_cross_attention", "only encoders are"))


BERT_NEURONS = Neurons(at="encoder.layer.*", inputs=("intermediate.dense",), output="output.dense")


def bert_heads(attention: str, names: tuple[str, str, str], optional: tuple[str, ...] = ()) -> Heads:
    """Projections of their own for query, key and value; the output projection beside the module that has them."""
    return Heads(
        at="encoder.layer.*",
        attention=attention,
        inputs=tuple(f"{attention}.{name}" for name in names),
        optional=tuple(f"{attention}.{name}" for name in optional),
        output="attention.output.dense",
    )


def _like_bert(model_type: str) -> Family:
    heads = bert_heads("attention.self", ("query", "key", "value"))
    return Family(
        model_type=model_type, layouts=(Layout(heads=(heads,), neurons=(BERT_NEURONS,)),), refuses=_ENCODERS_ONLY
    )


BERT = _like_bert("bert")
# Their layers are those of BERT by another name, and differ in embeddings, norms and heads, which no slice touches.
LIKE_BERT = tuple(
    map(
        _like_bert,
        (
            "roberta",
            "xlm-roberta",
            "electra",
            "camembert",
            "data2vec-text",
            "ernie",
            "layoutlm",
            "megatron-bert",
            "roberta-prelayernorm",
            "roformer",
            "xlm-roberta-xl",
        ),
    )
)

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
                bert_heads(
                    "attention.self", ("query_proj", "key_proj", "value_proj"), ("pos_key_proj", "pos_query_proj")
                ),
            ),
            neurons=(BERT_NEURONS,),
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
            neurons=(BERT_NEURONS,),
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

# Several feed-forward networks a layer, all but the last in a list.
MOBILEBERT = Family(
    model_type="mobilebert",
    layouts=(
        Layout(
            heads=(bert_heads("attention.self", ("query", "key", "value")),),
            neurons=(
                Neurons(at="encoder.layer.*.ffn.*", inputs=("intermediate.dense",), output="output.dense"),
                BERT_NEURONS,
            ),
        ),
    ),
)

NOMIC_BERT = Family(
    model_type="nomic_bert",
    layouts=(
        Layout(
            heads=(
                Heads(
                    at="layers.*",
                    attention="self_attn",
                    inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
                    output="self_attn.o_proj",
                    head_size="head_dim",
                ),
            ),
            neurons=(Neurons(at="layers.*", inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj"),),
        ),
    ),
)

EUROBERT = like_llama("eurobert")

ENCODERS = (
    BERT,
    *LIKE_BERT,
    DISTILBERT,
    ALBERT,
    DEBERTA_V2,
    MPNET,
    MODERNBERT,
    MOBILEBERT,
    NOMIC_BERT,
    EUROBERT,
)
