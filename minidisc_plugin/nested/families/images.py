"""Encoders of images, by declaration."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.nested.families.encoders import BERT_NEURONS, bert_heads

VIT_LAYOUTS = (
    Layout(
        heads=(bert_heads("attention.attention", ("query", "key", "value")),),
        neurons=(BERT_NEURONS,),
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
)

LIKE_VIT = tuple(
    Family(model_type=model_type, layouts=VIT_LAYOUTS)
    for model_type in ("vit", "deit", "vit_msn", "beit", "data2vec-vision", "ijepa")
)

# The second layout is that of transformers 5, here as above.
_DINOV2_NEURONS = Neurons(at="encoder.layer.*", inputs=("mlp.fc1",), output="mlp.fc2")

_DINOV2_HEADS = bert_heads("attention.attention", ("query", "key", "value"))
_LATER_DINOV2_HEADS = Heads(
    at="encoder.layer.*",
    attention="attention",
    inputs=("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    output="attention.o_proj",
    head_size="head_dim",
)
# Of the largest models (`use_swiglu_ffn`).
_GATED = Neurons(at="encoder.layer.*", inputs=("mlp.weights_in",), fused=2, output="mlp.weights_out")
_LATER_GATED = Neurons(at="encoder.layer.*", inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj")
_DINOV2_LAYOUTS = (
    Layout(heads=(_DINOV2_HEADS,), neurons=(_DINOV2_NEURONS,)),
    Layout(heads=(_LATER_DINOV2_HEADS,), neurons=(_DINOV2_NEURONS,)),
    Layout(heads=(_DINOV2_HEADS,), neurons=(_GATED,)),
    Layout(heads=(_LATER_DINOV2_HEADS,), neurons=(_LATER_GATED,)),
)

LIKE_DINOV2 = tuple(
    Family(model_type=model_type, layouts=_DINOV2_LAYOUTS) for model_type in ("dinov2", "dinov2_with_registers")
)

IMAGES = (*LIKE_VIT, *LIKE_DINOV2)
