"""Dropout is off for every family while a network follows a teacher, and back afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from minidisc_plugin.training.dropout import drops_out, without_dropout
from tests.builders.zoo import here, later_slow, make_inputs, make_model

RATES = ("dropout", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop")


def make_dropping(name: str) -> Any:
    """A tiny model of a family whose config drops, and masks, half of everything that it has a rate for."""
    changes = {"activation_dropout", "embd_pdrop", "attn_pdrop", "dropout_rate", "mlp_dropout", *RATES}
    changes |= {"drop_path_rate", "layerdrop", "encoder_layerdrop", "mask_time_prob", "mask_feature_prob"}
    model = make_model(name)
    config = model.config
    for key in changes:
        if hasattr(config, key):
            setattr(config, key, 0.5)
    for key in ("mask_time_length", "mask_feature_length"):
        if hasattr(config, key):
            setattr(config, key, 2)
    torch.manual_seed(0)
    return type(model)(config).train()


def passes(name: str, model: Any, count: int = 2) -> list[Tensor]:
    inputs = make_inputs(name)
    found = []
    for seed in range(1, count + 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            found.append(model(**inputs)[0])
    return found


@pytest.mark.parametrize("name", later_slow(here()))
def test_nothing_is_dropped_inside(name: str) -> None:
    model = make_dropping(name)
    with without_dropout(model):
        assert model.training
        one, other = passes(name, model)
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["bert", "beit", "hubert"])
def test_rates_come_back_and_the_config_never_knew(name: str) -> None:
    model = make_dropping(name)
    assert drops_out(model)
    one, other = passes(name, model)
    assert not torch.equal(one, other)
    before = model.config.to_dict()
    with without_dropout(model):
        assert model.config.to_dict() == before
        assert not drops_out(model)
    one, other = passes(name, model)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("rate", ["mask_time_prob", "layerdrop", "drop_path_rate"])
def test_what_draws_by_other_names_than_dropout_is_off_too(rate: str) -> None:
    """Masks of sounds and layers left out are read from the config in each pass; paths of images have other names."""
    name = "beit" if rate == "drop_path_rate" else "wav2vec2"
    config = make_model(name).config
    config.mask_time_length = 2
    vars(config).update({key: 0.0 for key, value in vars(config).items() if isinstance(value, float) and "drop" in key})
    vars(config).update({"mask_time_prob": 0.0, rate: 0.5})
    torch.manual_seed(0)
    model = type(make_model(name))(config).train()
    assert len({float(loss) for loss in passes(name, model, 8)}) > 1
    with without_dropout(model):
        assert len({float(loss) for loss in passes(name, model, 8)}) == 1
    with without_dropout(model, layers_alone=True):
        assert (len({float(loss) for loss in passes(name, model, 8)}) == 1) is (rate == "layerdrop")
