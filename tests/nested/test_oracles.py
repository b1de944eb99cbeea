"""Other people's pruning of the same heads and neurons gives the same logits."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import PreTrainedModel

from minidisc_plugin import NestedModel
from tests.builders.tiny import make_batch, make_bert
from tests.nested.crafting import RANKINGS, dropped_units, logits, make_ranked, silenced

BATCH = make_batch()


@pytest.mark.skipif(not hasattr(PreTrainedModel, "prune_heads"), reason="transformers 5 does not prune heads")
@pytest.mark.parametrize("scale", [0.9, 0.6, 0.4])
def test_heads_pruned_by_transformers(scale: float) -> None:
    original, nested = make_bert(labels=3), make_ranked()
    heads, neurons = nested.sizes(scale)
    assert min(heads) > 0
    pruned = silenced(original, nested.ranking, None, neurons)
    orders = nested.ranking.heads.order
    pruned.prune_heads({layer: dropped_units(orders[layer], kept) for layer, kept in enumerate(heads)})
    assert [layer.attention.self.num_attention_heads for layer in pruned.bert.encoder.layer] == heads
    nested.set_scale(scale)
    torch.testing.assert_close(logits(nested, BATCH), logits(pruned, BATCH), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits(nested.extract(scale), BATCH), logits(pruned, BATCH), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [0.9, 0.5, 0.1])
def test_neurons_pruned_by_torch_pruning(scale: float) -> None:
    torch_pruning = pytest.importorskip("torch_pruning")
    original, ranking = make_bert(labels=3), RANKINGS["every layer keeps some"]
    nested = NestedModel(copy.deepcopy(original))
    nested.apply_ranking(ranking)
    heads, neurons = nested.sizes(scale)
    assert min(neurons) > 0
    pruned = silenced(original, ranking, heads, None)
    for layer, order, kept in zip(pruned.bert.encoder.layer, ranking.neurons.order, neurons, strict=True):
        dropped = dropped_units(order, kept)
        torch_pruning.prune_linear_out_channels(layer.intermediate.dense, dropped)
        torch_pruning.prune_linear_in_channels(layer.output.dense, dropped)
        assert layer.intermediate.dense.weight.shape[0] == layer.output.dense.weight.shape[1] == kept
    nested.set_scale(scale)
    torch.testing.assert_close(logits(nested, BATCH), logits(pruned, BATCH), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits(nested.extract(scale), BATCH), logits(pruned, BATCH), atol=1e-5, rtol=0)
