"""Every family: slices compute what a model without the other units does, and leave as checkpoints that load."""

from __future__ import annotations

import copy

import pytest
import torch

from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.nested.ranking import Ranking, rank_units
from tests.nested.crafting import random_scores
from tests.zoo import here, make_inputs, make_model, outputs_of

SCALES = (0.8, 0.5, 0.25)
every_case = pytest.mark.parametrize("case", here())


def make_nested(case: str, allocation: str = "global") -> NestedModel:
    """A network whose units are ranked at random, in a way that empties some places where that is possible."""
    nested = NestedModel(make_model(case), allocation=allocation)  # type: ignore[arg-type]
    structure = nested._structure
    heads = random_scores([units.count for units in structure.heads], seed=1)
    neurons = random_scores([units.count for units in structure.neurons], seed=2)
    heads[0] *= 0.01  # the first to go, where heads are not tied
    neurons[-1] *= 0.01
    uniform = allocation == "uniform"
    nested.apply_ranking(Ranking(rank_units(heads, nested._ties(), uniform), rank_units(neurons, (), uniform)))
    return nested


@every_case
def test_reordering_leaves_the_outputs(case: str) -> None:
    inputs = make_inputs(case)
    expected = outputs_of(make_model(case), inputs)
    torch.testing.assert_close(outputs_of(make_nested(case).model, inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("allocation", ["global", "uniform"])
@every_case
def test_a_slice_is_the_extracted_model(case: str, allocation: str) -> None:
    inputs, nested = make_inputs(case), make_nested(case, allocation)
    larger = outputs_of(nested.model, inputs)
    for scale in SCALES:
        nested.set_scale(scale)
        expected = outputs_of(nested.model, inputs)
        assert (expected - larger).abs().max() > 1e-4, "scales cannot be told apart"
        small = nested.extract(scale)
        torch.testing.assert_close(outputs_of(small, inputs), expected, atol=1e-5, rtol=0)
        assert nested.parameter_counts(scale)[0] == sum(p.numel() for p in small.parameters())
        larger = expected


@every_case
def test_importance_reaches_every_unit(case: str) -> None:
    inputs = make_inputs(case)
    if "labels" not in inputs:
        pytest.skip("no loss")
    nested = NestedModel(make_model(case))
    expected = outputs_of(copy.deepcopy(nested.model), inputs)
    ranking = nested.rank([inputs])
    assert any(order.tolist() != sorted(order.tolist()) for order in ranking.neurons.order)
    torch.testing.assert_close(outputs_of(nested.model, inputs), expected, atol=1e-5, rtol=0)
