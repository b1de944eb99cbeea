"""What cannot be sliced is refused, loudly and with the remedy."""

from __future__ import annotations

import dataclasses

import pytest
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertLMHeadModel, GPT2Config
from transformers import GPT2ForSequenceClassification as Gpt2

from minidisc_plugin.errors import UnsupportedModelError
from minidisc_plugin.nested.family import BERT, encoder_parameters, family_of
from minidisc_plugin.nested.model import NestedModel
from tests.nested.crafting import make_nested
from tests.tiny import make_bert


def test_an_unknown_architecture_is_refused_with_those_known() -> None:
    config = GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    with pytest.raises(UnsupportedModelError, match="'gpt2' is not supported; supported: bert"):
        NestedModel(Gpt2(config))


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
            family_of(config)
    else:
        assert family_of(config) is BERT


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": "encoder.blocks"},
        {"layers": "encoder"},
        {"head_output": "attention.output"},
        {"neuron_inputs": ("intermediate.up",)},
        {"head_count": "n_heads"},
    ],
    ids=str,
)
def test_a_model_that_is_not_as_declared_is_refused(changes: dict[str, str]) -> None:
    family = dataclasses.replace(BERT, **changes)  # type: ignore[arg-type]
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
    assert encoder_parameters(model) == 3 * per_layer
    assert isinstance(model.bert.encoder.layer, nn.ModuleList)
