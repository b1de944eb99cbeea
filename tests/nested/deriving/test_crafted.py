"""Attentions made so that their heads cannot be told apart, or taken apart, are refused by the place that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification

from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.nested.deriving.derive import derived_family
from tests.builders.tiny import make_bert


class MixedHeads(nn.Module):
    """Heads that speak to each other before the output projection, by weights for every pair of them."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.mix = nn.Parameter(torch.randn(4, 4))

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        found, *rest = self.attention(*args, **kwargs)
        heads = found.unflatten(-1, (-1, 8))
        return torch.einsum("...hd,hg->...gd", heads, self.mix).flatten(-2), *rest


class NormedHeads(MixedHeads):
    """Heads that share a norm before the output projection."""

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        found, *rest = self.attention(*args, **kwargs)
        return found / found.norm(dim=-1, keepdim=True), *rest


class HeadsAfterwards(nn.Module):
    """What an output projection gives, dealt with by head again: by as many as the attention says there are."""

    def __init__(self, dense: nn.Linear, attention: Any) -> None:
        super().__init__()
        self.dense = dense
        self.heads = [attention]  # a list: not a part of this module

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.dense(features)
        return found.unflatten(-1, (self.heads[0].num_attention_heads, -1)).softmax(-1).flatten(-2)


def mixed_before(kind: type[MixedHeads]) -> Callable[[BertForSequenceClassification], None]:
    def change(model: BertForSequenceClassification) -> None:
        for layer in model.bert.encoder.layer:
            layer.attention.self = kind(layer.attention.self)

    return change


def mixed_after(model: BertForSequenceClassification) -> None:
    for layer in model.bert.encoder.layer:
        layer.attention.output.dense = HeadsAfterwards(layer.attention.output.dense, layer.attention.self)


def mixed_in_the_second_layer(model: BertForSequenceClassification) -> None:
    layer = model.bert.encoder.layer[1]
    layer.attention.output.dense.register_forward_pre_hook(lambda _, given: (given[0].cumsum(-1),))


def shared_by_layers(model: BertForSequenceClassification) -> None:
    """Layers share their keys, and nothing else."""
    first, second = model.bert.encoder.layer
    second.attention.self.key = first.attention.self.key


def shared_with_neurons(model: BertForSequenceClassification) -> None:
    """The feed-forward network reads what the attention's output projection does, through the same weights."""
    for layer in model.bert.encoder.layer:
        layer.attention.self.value.weight = layer.attention.output.dense.weight


def neurons_normed(model: BertForSequenceClassification) -> None:
    for layer in model.bert.encoder.layer:
        layer.intermediate.register_forward_hook(lambda _, __, found: found / found.norm(dim=-1, keepdim=True))


CRAFTED = {
    "heads that mix before the output projection": (mixed_before(MixedHeads), "no attention with heads"),
    "heads with one norm": (mixed_before(NormedHeads), "no attention with heads"),
    "heads that mix after the output projection": (mixed_after, r"layer\.0\.attention\.output\.dense\.dense: "),
    "heads that mix in the second layer": (mixed_in_the_second_layer, r"attention\.output\.dense: another order"),
    "keys that layers share": (
        shared_by_layers,
        r"is not alone in reading what bert\.encoder\.layer\.0\.attention\.self\.key gives",
    ),
    "a weight that two projections share": (shared_with_neurons, r"attention\.output\.dense: another order"),
    "neurons with one norm": (neurons_normed, "no feed-forward network with neurons"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_model_is_refused_by_the_place_that_failed(name: str) -> None:
    change, said = CRAFTED[name]
    model = make_bert()
    change(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UnsupportedModelError, match=said):
        derived_family(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
