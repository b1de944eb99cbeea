"""What cannot be sliced is refused, loudly and with the remedy."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertLMHeadModel,
    BloomConfig,
    BloomForSequenceClassification,
    CohereConfig,
    StableLmConfig,
)

from minidisc_plugin import NestedModel
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.nested.families.encoders import BERT
from minidisc_plugin.nested.family import encoder_parameters, family_of
from minidisc_plugin.plugins import families
from tests.builders.tiny import make_bert
from tests.nested.crafting import make_nested


def test_an_unknown_architecture_that_cannot_be_derived_is_refused() -> None:
    config = BloomConfig(vocab_size=20, hidden_size=8, n_layer=1, n_head=2)
    with pytest.raises(
        UnsupportedModelError, match=r"BloomForSequenceClassification \(bloom\), .* h\.0\.self_attention"
    ):
        NestedModel(BloomForSequenceClassification(config))
    with pytest.raises(UnsupportedModelError, match=r"'bloom' is not supported; supported: albert, arcee, .*vit"):
        family_of(config, families())


@pytest.mark.parametrize("feature", ["is_decoder", "add_cross_attention"])
def test_a_decoder_of_a_known_architecture_is_refused(feature: str) -> None:
    settings = {"is_decoder": True, feature: True}
    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, **settings
    )
    with pytest.raises(UnsupportedModelError, match="only encoders"):
        NestedModel(BertLMHeadModel(config))
    config.is_decoder = False
    if config.add_cross_attention:
        with pytest.raises(UnsupportedModelError, match="add_cross_attention"):
            family_of(config, families())
    else:
        assert family_of(config, families()) is BERT


@pytest.mark.parametrize(("config", "feature"), [(CohereConfig, "use_qk_norm"), (StableLmConfig, "qk_layernorm")])
def test_norms_that_every_head_has_for_itself_are_refused(config: Any, feature: str) -> None:
    assert family_of(config(), families()).model_type == config.model_type
    with pytest.raises(UnsupportedModelError, match=f"{feature}=True is not supported: a norm with weights of its own"):
        family_of(config(**{feature: True}), families())


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("both", {"at": "encoder.blocks.*"}),
        ("both", {"at": "encoder.*"}),
        ("heads", {"output": "attention.output"}),
        ("heads", {"head_size": "size_of_heads"}),
        ("neurons", {"inputs": ("intermediate.up",)}),
        ("neurons", {"inputs": (), "optional": ("intermediate.up",)}),
    ],
    ids=str,
)
def test_a_model_that_is_not_as_declared_is_refused(kind: str, changes: dict[str, Any]) -> None:
    (layout,) = BERT.layouts
    places = {
        name: tuple(dataclasses.replace(place, **changes) for place in getattr(layout, name))
        for name in ("heads", "neurons")
        if kind in (name, "both")
    }
    family = dataclasses.replace(BERT, layouts=(dataclasses.replace(layout, **places),))
    with pytest.raises(UnsupportedModelError, match="not built as its family 'bert' declares"):
        NestedModel(make_bert(), family)


def test_a_layer_that_only_derives_from_linear_is_refused() -> None:
    class Adapted(nn.Linear):
        """Computes something else, as a quantised layer or one with an adapter does."""

    model = make_bert()
    model.bert.encoder.layer[1].output.dense.__class__ = Adapted
    with pytest.raises(UnsupportedModelError, match=r"output\.dense is a Adapted"):
        NestedModel(model)


class OtherClassifier(BertForSequenceClassification):
    """A subclass that transformers does not have."""


Namesake = type("BertForSequenceClassification", (BertForSequenceClassification,), {"__doc__": "One that differs."})


@pytest.mark.parametrize("other", [OtherClassifier, Namesake], ids=["another name", "the same name"])
def test_a_class_outside_transformers_has_no_slices_to_save(other: type) -> None:
    nested = make_nested()
    nested.model.__class__ = other
    with pytest.raises(UnsupportedModelError, match=f"{other.__name__} is not a class of transformers"):
        nested.extract(0.5)


def test_encoder_parameters_are_those_of_the_layers() -> None:
    model = make_bert(labels=3, layers=3)
    per_layer = 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 2 * 2 * 32
    assert encoder_parameters(model, BERT) == 3 * per_layer
    assert isinstance(model.bert.encoder.layer, nn.ModuleList)
