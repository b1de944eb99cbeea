"""Dropout is off for every family while a network follows a teacher, and back afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from minidisc_plugin.training.dropout import without_dropout
from tests.builders.zoo import here, later_slow, make_inputs, make_model

RATES = ("dropout", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop")


def make_dropping(name: str) -> Any:
    """A tiny model of a family whose config drops half of everything that it has a rate for."""
    changes = {"activation_dropout", "embd_pdrop", "attn_pdrop", "dropout_rate", "mlp_dropout", *RATES}
    model = make_model(name)
    config = model.config
    for key in changes:
        if hasattr(config, key):
            setattr(config, key, 0.5)
    torch.manual_seed(0)
    return type(model)(config).train()


def two_passes(name: str, model: Any) -> list[Tensor]:
    inputs = make_inputs(name)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with torch.no_grad():
            found.append(model(**inputs)[0])
    return found


@pytest.mark.parametrize("name", later_slow(here()))
def test_nothing_is_dropped_inside(name: str) -> None:
    model = make_dropping(name)
    with without_dropout(model):
        assert model.training
        one, other = two_passes(name, model)
        assert torch.equal(one, other)


def test_rates_come_back_and_the_config_never_knew() -> None:
    model = make_dropping("bert")
    one, other = two_passes("bert", model)
    assert not torch.equal(one, other)
    before = model.config.to_dict()
    with without_dropout(model):
        assert model.config.to_dict() == before
    one, other = two_passes("bert", model)
    assert not torch.equal(one, other)
