"""The global order of units: normalised by layer, nested over scales, whole over all layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minidisc_plugin.nested.ranking import Ranking, UnitRanking, natural_order, rank_units
from tests.nested.crafting import make_ranking

layers_of_scores = st.lists(
    st.lists(st.floats(0, 1e6, allow_subnormal=False) | st.integers(0, 3).map(float), max_size=9),
    min_size=1,
    max_size=5,
).filter(any)
scales = st.floats(0, 1, exclude_min=True)


def kept_sets(ranking: UnitRanking, scale: float) -> list[list[int]]:
    """Per layer, the original indices of the units kept, the most important first."""
    return [order[:count].tolist() for order, count in zip(ranking.order, ranking.counts(scale), strict=True)]


def test_a_small_example_by_hand() -> None:
    # Norms 5, 13 and 0.1: the normalised scores are [.6, .8], [.385, .923] and [1].
    ranking = rank_units([torch.tensor([3.0, 4.0]), torch.tensor([5.0, 12.0]), torch.tensor([0.1])])
    assert [order.tolist() for order in ranking.order] == [[1, 0], [1, 0], [0]]
    assert [ranks.tolist() for ranks in ranking.ranks] == [[2, 3], [1, 4], [0]]
    assert ranking.total == 5
    assert [ranking.counts(kept / 5) for kept in range(1, 6)] == [
        [0, 0, 1],
        [0, 1, 1],
        [1, 1, 1],
        [2, 1, 1],
        [2, 2, 1],
    ]


def test_ties_keep_the_earlier_layer_and_index_first() -> None:
    ranking = rank_units([torch.ones(2), torch.ones(2)])
    assert [order.tolist() for order in ranking.order] == [[0, 1], [0, 1]]
    assert [ranks.tolist() for ranks in ranking.ranks] == [[0, 1], [2, 3]]


@pytest.mark.parametrize(("scale", "expected"), [(0.5, [2, 4]), (0.25, [1, 2]), (1.0, [4, 8])])
def test_without_a_ranking_layers_keep_equal_shares_of_their_first_units(scale: float, expected: list[int]) -> None:
    ranking = natural_order([4, 8])
    assert ranking.counts(scale) == expected
    assert [order.tolist() for order in ranking.order] == [list(range(4)), list(range(8))]


def test_something_is_kept_at_the_smallest_scale() -> None:
    assert sum(natural_order([4, 4]).counts(1e-9)) == 1


@settings(deadline=None)
@given(layers_of_scores, scales, scales)
def test_scales_are_nested(scores: list[list[float]], one: float, other: float) -> None:
    ranking = rank_units([torch.tensor(layer, dtype=torch.float64) for layer in scores])
    small, large = (kept_sets(ranking, scale) for scale in sorted((one, other)))
    for fewer, more in zip(small, large, strict=True):
        assert more[: len(fewer)] == fewer


@settings(deadline=None)
@given(layers_of_scores, scales)
def test_the_best_share_is_kept(scores: list[list[float]], scale: float) -> None:
    ranking = rank_units([torch.tensor(layer, dtype=torch.float64) for layer in scores])
    kept = kept_sets(ranking, scale)
    total, count = sum(map(len, scores)), sum(map(len, kept))
    assert count == 1 or abs(count - scale * total) <= 0.5 + 1e-9
    norms = [max(sum(score**2 for score in layer) ** 0.5, 1e-30) for layer in scores]
    inside = [scores[layer][unit] / norms[layer] for layer, units in enumerate(kept) for unit in units]
    outside = [
        scores[layer][unit] / norms[layer]
        for layer, units in enumerate(kept)
        for unit in range(len(scores[layer]))
        if unit not in units
    ]
    assert len(set(map(id, inside))) + len(outside) == total
    assert not outside or min(inside) >= max(outside) - 1e-9
    assert ranking.counts(1.0) == list(map(len, scores))


@settings(deadline=None)
@given(layers_of_scores, scales, scales)
def test_trimming_keeps_what_smaller_scales_mean(scores: list[list[float]], one: float, other: float) -> None:
    ranking = rank_units([torch.tensor(layer, dtype=torch.float64) for layer in scores])
    small, large = sorted((one, other))
    trimmed = ranking.trimmed(ranking.counts(large))
    assert trimmed.counts(large) == ranking.counts(large)
    assert trimmed.counts(small) == ranking.counts(small)
    assert [order.tolist() for order in trimmed.order] == [list(range(count)) for count in ranking.counts(large)]


def test_a_ranking_survives_its_file() -> None:
    ranking = make_ranking(headless=1)
    found = Ranking.from_tensors({name: tensor.clone() for name, tensor in ranking.tensors().items()})
    for one, other in ((found.heads, ranking.heads), (found.neurons, ranking.neurons)):
        assert one.total == other.total
        pairs = zip([*one.order, *one.ranks], [*other.order, *other.ranks], strict=True)
        assert all(torch.equal(left, right) for left, right in pairs)


def test_layers_are_read_back_in_order_beyond_the_tenth() -> None:
    many: list[Tensor] = [torch.rand(count + 1) for count in range(12)]
    ranking = Ranking(rank_units(many), rank_units(many))
    shuffled = dict(sorted(ranking.tensors().items()))
    assert list(map(len, Ranking.from_tensors(shuffled).heads.order)) == list(range(1, 13))
