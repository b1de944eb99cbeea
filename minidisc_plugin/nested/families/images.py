"""Encoders of images, by declaration."""

from __future__ import annotations

from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons
from minidisc_plugin.nested.families.encoders import BERT_NEURONS, bert_heads

_VIT_LAYOUTS = (
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

LIKE_VIT = tuple(Family(model_type=model_type, layouts=_VIT_LAYOUTS) for model_type in ("vit", "deit", "vit_msn"))

# The second layout is that of transformers 5, here as above.
_DINOV2_NEURONS = Neurons(at="encoder.layer.*", inputs=("mlp.fc1",), output="mlp.fc2")

DINOV2 = Family(
    model_type="dinov2",
    layouts=(
        Layout(
            heads=(bert_heads("attention.attention", ("query", "key", "value")),),
            neurons=(_DINOV2_NEURONS,),
        ),
        Layout(
            heads=(
                Heads(
                    at="encoder.layer.*",
                    attention="attention",
                    inputs=("attention.q_proj", "attention.k_proj", "attention.v_proj"),
                    output="attention.o_proj",
                    head_size="head_dim",
                ),
            ),
            neurons=(_DINOV2_NEURONS,),
        ),
    ),
)

IMAGES = (*LIKE_VIT, DINOV2)
