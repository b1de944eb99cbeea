"""What leaves the network: small models with the slice's logits and sizes; what trimming leaves in it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from minidisc_plugin import NestedModel
from minidisc_plugin.nested.family import encoder_parameters
from minidisc_plugin.nested.prefix import PrefixLinear
from minidisc_plugin.nested.ranking import Ranking
from minidisc_plugin.plugins import families
from tests.builders.tiny import make_batch, make_bert
from tests.nested.crafting import RANKINGS, SCALES, logits, make_nested, make_ranked, make_ranking

BATCH = make_batch()
every_ranking = pytest.mark.parametrize("ranking", RANKINGS.values(), ids=RANKINGS.keys())


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def storages(model: nn.Module) -> set[int]:
    tensors = [*model.parameters(), *model.buffers()]
    return {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}


@pytest.mark.parametrize("scale", SCALES)
@every_ranking
def test_an_extracted_model_has_the_logits_and_the_size_of_its_slice(ranking: Ranking, scale: float) -> None:
    nested = make_nested(ranking)
    nested.set_scale(scale)
    expected = logits(nested, BATCH)
    nested.set_scale(0.7)
    student = nested.extract(scale)
    torch.testing.assert_close(logits(student, BATCH), expected, atol=1e-5, rtol=0)
    assert nested.parameter_counts(scale) == (count(student), count(student.bert.encoder))
    assert encoder_parameters(student, families()["bert"]) == count(student.bert.encoder)
    heads, neurons = nested.sizes(scale)
    assert student.config.layer_sizes == {"heads": heads, "neurons": neurons}
    (described,) = nested.describe([scale])
    assert (described.heads, described.neurons) == (heads, neurons)
    assert (described.parameters, described.encoder_parameters) == nested.parameter_counts(scale)


def test_parameters_by_hand() -> None:
    nested = make_nested(make_ranking(headless=0))
    heads, neurons = nested.sizes(0.5)
    # Per head: 8 rows of query, key and value with their biases, and 8 columns of the output. Per neuron likewise.
    per_head, per_neuron, fixed = 8 * (3 * 33 + 32), 33 + 32, 2 * (32 + 32 + 4 * 32)
    in_layers = sum(heads) * per_head + sum(neurons) * per_neuron + fixed
    assert nested.parameter_counts(0.5)[1] == in_layers
    everything = count(make_bert(labels=3))
    assert nested.parameter_counts(1.0) == (everything, 8 * per_head + 128 * per_neuron + fixed)
    assert nested.parameter_counts(0.5)[0] == everything - 4 * per_head - 64 * per_neuron


@every_ranking
def test_extraction_shares_nothing_and_leaves_the_network_as_it_was(ranking: Ranking) -> None:
    nested = make_nested(ranking)
    nested.set_scale(0.3)
    nested.model.train()
    student = nested.extract(0.5)
    assert nested.scale == 0.3 and nested.model.training and not student.training
    assert not storages(student) & storages(nested)
    assert student.config is not nested.model.config and not hasattr(nested.model.config, "layer_sizes")
    nested.model.eval()
    before, of_student = logits(nested, BATCH), logits(student, BATCH)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert torch.equal(logits(nested, BATCH), before)
    again = nested.extract(0.5)
    with torch.no_grad():
        for parameter in nested.parameters():
            parameter.zero_()
    torch.testing.assert_close(logits(again, BATCH), of_student, atol=0, rtol=0)


def test_an_extracted_model_is_made_of_plain_modules_and_trains() -> None:
    nested = make_ranked()
    frozen = nested.model.bert.encoder.layer[0].attention.self.query.weight
    frozen.requires_grad_(False)
    student = nested.extract(0.3)
    assert not any(isinstance(module, PrefixLinear) for module in student.modules())
    assert any(isinstance(module, PrefixLinear) for module in nested.modules())
    wanted = {name for name, parameter in student.named_parameters() if not parameter.requires_grad}
    assert wanted <= {"bert.encoder.layer.0.attention.self.query.weight"}
    assert not student.bert.encoder.layer[0].attention.self.query.weight.requires_grad
    optimizer = torch.optim.AdamW(student.parameters(), 1e-3)
    losses = []
    for _ in range(3):
        loss = student(**BATCH).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0]


@every_ranking
def test_an_assistant_is_a_network_again(ranking: Ranking) -> None:
    first = make_nested(ranking)
    assistant = first.extract(0.5)
    second = NestedModel(copy.deepcopy(assistant))
    torch.testing.assert_close(logits(second, BATCH), logits(assistant, BATCH), atol=0, rtol=0)
    assert second.sizes(1.0) == first.sizes(0.5)
    second.rank([BATCH])
    torch.testing.assert_close(logits(second, BATCH), logits(assistant, BATCH), atol=1e-5, rtol=0)
    second.set_scale(0.4)
    student = second.extract(0.4)
    torch.testing.assert_close(logits(student, BATCH), logits(second, BATCH), atol=1e-5, rtol=0)
    heads, neurons = second.sizes(0.4)
    assert student.config.layer_sizes == {"heads": heads, "neurons": neurons}
    assert sum(heads) == 2 and sum(neurons) == 26  # 0.4 of the 4 heads and 64 neurons of the assistant
    assert second.parameter_counts(0.4) == (count(student), count(student.bert.encoder))
    assert type(student) is type(assistant)


@pytest.mark.parametrize("largest", [0.9, 0.5])
@every_ranking
def test_trimming_keeps_what_the_remaining_scales_mean(ranking: Ranking, largest: float) -> None:
    nested, scales = make_nested(ranking), [scale for scale in SCALES if scale <= largest]
    expected = {}
    for scale in scales:
        nested.set_scale(scale)
        expected[scale] = logits(nested, BATCH), nested.sizes(scale), nested.parameter_counts(scale)
    total = nested.parameter_counts(largest)[0]
    nested.trim(largest)
    assert count(nested) == total and nested.scale == nested.largest_scale == largest
    for scale in reversed(scales):
        nested.set_scale(scale)
        found, sizes, parameters = expected[scale]
        torch.testing.assert_close(logits(nested, BATCH), found, atol=1e-5, rtol=0)
        assert nested.sizes(scale) == sizes and nested.parameter_counts(scale) == parameters
        torch.testing.assert_close(logits(nested.extract(scale), BATCH), found, atol=1e-5, rtol=0)
    smallest = expected[scales[-1]]
    nested.trim(scales[-1])
    torch.testing.assert_close(logits(nested, BATCH), smallest[0], atol=1e-5, rtol=0)
    assert count(nested) == smallest[2][0]


def test_trimming_to_the_largest_scale_keeps_the_parameters() -> None:
    nested = make_ranked()
    before = {id(parameter) for parameter in nested.parameters()}
    nested.trim(1.0)
    assert {id(parameter) for parameter in nested.parameters()} == before
