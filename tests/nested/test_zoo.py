"""Every family: slices compute what a model without the other units does, and leave as checkpoints that load."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor

from minidisc_plugin import NestedModel
from minidisc_plugin.nested.ranking import Ranking, rank_units
from minidisc_plugin.run.measuring.measure import macs
from minidisc_plugin.run.plan.calibration import calibrate
from minidisc_plugin.training.device_memory import activation_bytes
from tests.builders.zoo import SEQ2SEQ, here, later_slow, make_inputs, make_model, outputs_of
from tests.nested.crafting import random_scores

SCALES = (0.8, 0.5, 0.25)
every_case = pytest.mark.parametrize("case", here())
later_ones_slow = pytest.mark.parametrize("case", later_slow(here()))


def make_nested(case: str, allocation: str = "global") -> NestedModel:
    """A network whose units are ranked at random, in a way that empties some places where that is possible."""
    nested = NestedModel(make_model(case), allocation=allocation)  # type: ignore[arg-type]
    structure = nested._structure
    heads = random_scores([units.count for units in structure.heads], seed=1)
    neurons = random_scores([units.count for units in structure.neurons], seed=2)
    heads[0] *= 0  # the first to go, where heads are not tied
    neurons[-1] *= 0
    uniform = allocation == "uniform"
    nested.apply_ranking(Ranking(rank_units(heads, nested._ties(), uniform), rank_units(neurons, (), uniform)))
    return nested


@later_ones_slow
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
def test_scales_are_nested_and_one_step_trains_the_slice_only(case: str) -> None:
    inputs, nested = make_inputs(case), make_nested(case)
    parameters = dict(nested.model.named_parameters())
    kept = {scale: _kept_entries(nested, scale) for scale in SCALES}
    for name in parameters:
        for larger, smaller in itertools.pairwise(SCALES):
            assert not (kept[smaller][name] & ~kept[larger][name]).any(), f"{name}: {smaller} is not within {larger}"
    nested.set_scale(SCALES[1])
    nested.train()
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    features = inputs if "labels" in inputs else {**inputs, "output_hidden_states": True}
    found = nested(**features)
    loss = found.loss if "labels" in inputs else found.last_hidden_state.pow(2).mean()
    loss.backward()
    torch.optim.SGD(parameters.values(), lr=1.0).step()
    changed = 0
    for name, parameter in parameters.items():
        moved = (parameter != before[name]).detach()
        assert not (moved & ~kept[SCALES[1]][name]).any(), f"{name} changed outside the slice"
        changed += int(moved.any())
    assert changed > len(parameters) / 2


def _kept_entries(nested: NestedModel, scale: float) -> dict[str, Tensor]:
    """Which entries of every parameter the slice at a scale uses: all that no unit beyond its counts owns."""
    used = {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in nested.model.named_parameters()}
    of = {id(parameter): used[name] for name, parameter in nested.model.named_parameters()}
    for units, count in nested._places(scale):
        for part in units.parts():
            width = part.parameter.shape[part.axis] // part.blocks
            inside = (torch.arange(width) < count * part.size).repeat(part.blocks)
            shape = [1] * part.parameter.dim()
            shape[part.axis] = -1
            of[id(part.parameter)].logical_and_(inside.view(shape))
    return used


@later_ones_slow
def test_trimming_keeps_what_the_remaining_scales_mean(case: str) -> None:
    inputs, nested = make_inputs(case), make_nested(case)
    nested.set_scale(0.25)
    expected = outputs_of(nested.model, inputs)
    nested.trim(0.5)
    nested.set_scale(0.25)
    torch.testing.assert_close(outputs_of(nested.model, inputs), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs_of(nested.extract(0.25), inputs), expected, atol=1e-5, rtol=0)


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


EMPTYING = (1.0, 0.25, 0.01)


@later_ones_slow
def test_emptied_places_are_counted_timed_and_trained(case: str) -> None:
    """All that `minidisc plan` does with a scale, where places have nothing left: at the last, all but one."""
    inputs, nested = make_inputs(case), make_nested(case)
    features = {name: value for name, value in inputs.items() if name != "labels"}
    if type(nested.model).__name__.endswith(SEQ2SEQ):
        features["decoder_input_ids"] = inputs["labels"].clamp_min(0)
    work = []
    for scale in EMPTYING:
        nested.set_scale(scale)
        work.append(macs(nested.model, features))
        assert macs(nested.extract(scale), features) == work[-1]
        assert activation_bytes(nested.model, features) > 0
    neurons = nested.sizes(0.25)[1]
    assert min(neurons) == 0 or len(neurons) == 1, "no place is emptied"
    assert work == sorted(set(work), reverse=True)
    if "input_ids" in features:
        found = calibrate(nested, features, EMPTYING, EMPTYING, {})
        assert all(found.trained[scale] > 0 and found.frozen[scale] > 0 for scale in EMPTYING)
    nested.trim(0.25)
    nested.set_scale(0.01)
    assert macs(nested.model, features) == work[-1]
    assert activation_bytes(nested.model, features) > 0
