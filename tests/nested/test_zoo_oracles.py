"""Other people's pruning of the same heads and neurons gives the same outputs, for every family that they can prune."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import PreTrainedModel

from minidisc_plugin import NestedModel
from minidisc_plugin.nested.checkpoint import as_checkpoint
from minidisc_plugin.nested.family import layout_of
from minidisc_plugin.nested.narrow import find
from tests.builders.zoo import here, later_slow, make_inputs, make_model, outputs_of
from tests.nested.crafting import dropped_units
from tests.nested.test_zoo import make_nested

# Position biases and fused projections are beyond transformers' own pruning; BART and T5 number two stacks alike.
PRUNE_HEADS = [
    case
    for case in ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert", "gpt2", "vit")
    if hasattr(PreTrainedModel, "prune_heads")
]


def without(nested: NestedModel, heads: bool) -> PreTrainedModel:
    """The network without the heads, or without the neurons, that scale 0.5 leaves out."""
    kept = list(nested.sizes(0.5))
    kept[1 if heads else 0] = nested.sizes(1.0)[1 if heads else 0]
    return as_checkpoint(copy.deepcopy(nested.model), nested.family, *kept)


@pytest.mark.skipif(not PRUNE_HEADS, reason="transformers 5 does not prune heads")
@pytest.mark.parametrize("case", PRUNE_HEADS)
def test_heads_pruned_by_transformers(case: str) -> None:
    original, nested, inputs = make_model(case), make_nested(case, "uniform"), make_inputs(case)
    orders = nested.ranking.heads.order
    original.prune_heads({layer: dropped_units(orders[layer], kept) for layer, kept in enumerate(nested.sizes(0.5)[0])})
    expected = outputs_of(original, inputs)
    assert (expected - outputs_of(make_model(case), inputs)).abs().max() > 1e-4
    torch.testing.assert_close(outputs_of(without(nested, heads=True), inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", later_slow(case for case in here() if case != "gpt2"))  # Conv1D is no linear layer
def test_neurons_pruned_by_torch_pruning(case: str) -> None:
    torch_pruning = pytest.importorskip("torch_pruning")
    original, nested, inputs = make_model(case), make_nested(case, "uniform"), make_inputs(case)
    dropped = [
        dropped_units(order, kept)
        for order, kept in zip(nested.ranking.neurons.order, nested.sizes(0.5)[1], strict=True)
    ]
    left = iter(dropped)
    for network in layout_of(original, nested.family).neurons:
        for layer in find(original.base_model, network.at):
            units = next(left)
            for path in (*network.inputs, *(path for path in network.optional if find(layer, path))):
                linear = layer.get_submodule(path)
                size = linear.out_features // network.fused
                every = [block * size + unit for block in range(network.fused) for unit in units]
                torch_pruning.prune_linear_out_channels(linear, every)
            torch_pruning.prune_linear_in_channels(layer.get_submodule(network.output), units)
    expected = outputs_of(original, inputs)
    assert (expected - outputs_of(make_model(case), inputs)).abs().max() > 1e-4
    torch.testing.assert_close(outputs_of(without(nested, heads=False), inputs), expected, atol=1e-5, rtol=0)
