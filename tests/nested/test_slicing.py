"""A slice computes the model without the units it leaves out, for free, and trains nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from minidisc_plugin import NestedModel
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.nested.ranking import Ranking
from tests.builders.tiny import make_batch, make_bert
from tests.nested.crafting import HEAD_SIZE, RANKINGS, SCALES, logits, make_nested, make_ranked, silenced

BATCH = make_batch()
every_ranking = pytest.mark.parametrize("ranking", RANKINGS.values(), ids=RANKINGS.keys())


def test_a_network_that_was_not_ranked_computes_what_the_model_did() -> None:
    model = make_bert(labels=3)
    expected = logits(model, BATCH)
    assert torch.equal(logits(NestedModel(model), BATCH), expected)


@every_ranking
def test_reordering_moves_weights_and_leaves_logits(ranking: Ranking) -> None:
    nested = make_nested()
    query = nested.model.bert.encoder.layer[0].attention.self.query.weight
    before, expected = query.detach().clone(), logits(nested, BATCH)
    nested.apply_ranking(ranking)
    moved = ranking.heads.order[0].tolist() != [0, 1, 2, 3]
    assert torch.equal(query, before) != moved
    torch.testing.assert_close(logits(nested, BATCH), expected, atol=1e-5, rtol=0)


def test_ranking_by_importance_leaves_logits_and_describes_itself() -> None:
    nested = make_nested()
    expected = logits(nested, BATCH)
    ranking = nested.rank([BATCH])
    assert nested.ranking is ranking
    assert any(order.tolist() != sorted(order.tolist()) for order in ranking.neurons.order)
    torch.testing.assert_close(logits(nested, BATCH), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@every_ranking
def test_a_slice_computes_the_model_with_the_other_units_silenced(ranking: Ranking, attention: str) -> None:
    original = make_bert(labels=3, attn_implementation=attention)
    nested = NestedModel(copy.deepcopy(original))
    nested.apply_ranking(ranking)
    larger: Tensor | None = None
    for scale in SCALES:
        nested.set_scale(scale)
        expected = logits(silenced(original, ranking, *nested.sizes(scale)), BATCH)
        torch.testing.assert_close(logits(nested, BATCH), expected, atol=1e-5, rtol=0)
        assert larger is None or (larger - expected).abs().max() > 1e-3, "scales cannot be told apart"
        larger = expected


def test_crafted_rankings_leave_layers_with_nothing() -> None:
    sizes = {name: make_nested(ranking).sizes(0.5) for name, ranking in RANKINGS.items()}
    assert all(count > 0 for counts in sizes["every layer keeps some"] for count in counts)
    assert sizes["layer 0 without heads"][0] == [0, 4]
    assert sizes["layer 1 without neurons"][1] == [64, 0]
    assert sizes["layer 1 without heads, layer 0 without neurons"] == ([4, 0], [0, 64])
    assert sizes["layer 0 without either"] == ([0, 4], [0, 64])


@every_ranking
def test_any_sequence_of_scales_ends_at_the_last_one(ranking: Ranking) -> None:
    nested = make_nested(ranking)
    expected = {}
    for scale in SCALES:
        fresh = make_nested(ranking)
        fresh.set_scale(scale)
        expected[scale] = logits(fresh, BATCH)
    for scale in (0.5, 1.0, 0.1, 0.9, 0.3, 0.5, 0.1, 1.0):
        nested.set_scale(scale)
        assert torch.equal(logits(nested, BATCH), expected[scale])


def test_a_ranking_applied_at_a_small_scale_takes_effect_at_once() -> None:
    ranking = RANKINGS["layer 0 without heads"]
    nested = make_nested()
    nested.set_scale(0.3)
    nested.apply_ranking(ranking)
    expected = make_nested(ranking)
    expected.set_scale(0.3)
    assert torch.equal(logits(nested, BATCH), logits(expected, BATCH))


def test_a_deep_copy_is_a_network_of_its_own() -> None:
    nested = make_nested(RANKINGS["layer 0 without heads"])
    expected = {}
    for scale in (1.0, 0.5):
        nested.set_scale(scale)
        expected[scale] = logits(nested, BATCH)
    twin = copy.deepcopy(nested)
    for scale in (1.0, 0.5, 1.0):
        twin.set_scale(scale)
        assert torch.equal(logits(twin, BATCH), expected[scale])
        assert torch.equal(logits(nested, BATCH), expected[0.5])


@pytest.mark.parametrize("scale", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused_and_changes_nothing(scale: float) -> None:
    nested = make_nested()
    nested.set_scale(0.5)
    expected = logits(nested, BATCH)
    for use in (nested.set_scale, nested.sizes, nested.extract, nested.trim, nested.parameter_counts):
        with pytest.raises(ConfigError, match="outside"):
            use(scale)
    assert torch.equal(logits(nested, BATCH), expected)


class WeightsInUse(TorchFunctionMode):
    """Records the weights that linear projections are computed with."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.linear:
            self.weights.append(args[1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("scale", SCALES)
def test_a_slice_is_a_view_of_the_parameters(scale: float) -> None:
    nested = make_ranked()
    addresses = {parameter.data_ptr() for parameter in nested.parameters()}
    nested.set_scale(scale)
    with torch.no_grad(), WeightsInUse() as used:
        nested(**BATCH)
    # Six projections a layer, pooler and classifier; a view of nothing has no address.
    heads, neurons = nested.sizes(scale)
    left_out = sum(3 + 1 for count in heads if not count) + sum(1 + 1 for count in neurons if not count)
    weights = [weight for weight in used.weights if weight.numel()]
    assert len(weights) >= 2 * 6 + 2 - left_out
    assert {weight.data_ptr() for weight in weights} <= addresses
    shapes = {tuple(weight.shape) for weight in weights}
    assert {(count * HEAD_SIZE, 32) for count in heads if count} <= shapes
    assert {(32, count) for count in neurons if count} <= shapes


@pytest.mark.parametrize("scale", [0.9, 0.5, 0.1])
@every_ranking
def test_a_gradient_step_touches_the_slice_only(ranking: Ranking, scale: float) -> None:
    nested = make_nested(ranking)
    nested.set_scale(scale)
    before = {name: parameter.detach().clone() for name, parameter in nested.model.named_parameters()}
    optimizer = torch.optim.SGD(nested.model.parameters(), lr=1.0)
    nested(**BATCH).loss.backward()
    optimizer.step()
    after = dict(nested.model.named_parameters())
    for index, (heads, neurons) in enumerate(zip(*nested.sizes(scale), strict=True)):
        prefix, width = f"bert.encoder.layer.{index}.", heads * HEAD_SIZE
        regions: dict[str, Any] = {"attention.output.dense.weight": (slice(None), slice(width))}
        regions |= {f"attention.self.{name}.weight": slice(width) for name in ("query", "key", "value")}
        regions |= {f"attention.self.{name}.bias": slice(width) for name in ("query", "key", "value")}
        regions |= {"intermediate.dense.weight": slice(neurons), "intermediate.dense.bias": slice(neurons)}
        regions |= {"output.dense.weight": (slice(None), slice(neurons))}
        for name, region in regions.items():
            changed = (after[prefix + name] != before[prefix + name]).detach()
            inside = changed[region]
            assert changed.sum() == inside.sum(), f"{name} changed outside the slice"
            if name.endswith("weight") and inside.numel():
                assert inside.float().mean() > 0.9, f"{name} was not trained"
