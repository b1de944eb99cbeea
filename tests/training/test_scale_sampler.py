"""Which scales a step trains: reproducible, and in expectation the mean of all."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.training.scale_sampler import Sampling, ScaleSampler

SCALES = [0.7, 0.1, 0.4, 0.2, 0.3]
KINDS: list[Sampling] = list(get_args(Sampling))
sets_of_scales = st.lists(st.floats(0.01, 1), min_size=1, max_size=8, unique=True)


def scales_of(sampler: ScaleSampler, step: int) -> list[float]:
    return [drawn.scale for drawn in sampler.draw(step)]


@pytest.mark.parametrize(("kind", "count"), [("all", 1), ("sandwich", 3), ("sandwich", 10), ("cost_aware", 4)])
def test_all_scales_are_trained_alike_where_none_is_left_out(kind: Sampling, count: int) -> None:
    sampler = ScaleSampler(SCALES, kind, count, seed=0)
    for step in range(20):
        assert scales_of(sampler, step) == [0.1, 0.2, 0.3, 0.4, 0.7]
        assert [drawn.weight for drawn in sampler.draw(step)] == pytest.approx([0.2] * 5)


@given(sets_of_scales, st.sampled_from(KINDS), st.integers(1, 8), st.integers(0, 2**32), st.integers(0, 10**6))
def test_a_draw_ascends_and_holds_what_it_has_to(
    scales: list[float], kind: Sampling, count: int, seed: int, step: int
) -> None:
    drawn = scales_of(ScaleSampler(scales, kind, count, seed), step)
    assert drawn == sorted(set(drawn)) and set(drawn) <= set(scales)
    assert drawn[0] == min(scales)
    always = {"all": set(scales), "sandwich": {min(scales), max(scales)}, "cost_aware": {min(scales)}}[kind]
    assert always <= set(drawn)
    assert len(drawn) == min(len(scales), len(always) + (0 if kind == "all" else count))


@given(sets_of_scales, st.sampled_from(KINDS), st.integers(1, 8))
def test_probabilities_sum_to_the_size_of_a_draw(scales: list[float], kind: Sampling, count: int) -> None:
    sampler = ScaleSampler(scales, kind, count)
    probabilities = sampler.probabilities()
    assert list(probabilities) == sorted(scales)
    assert all(0 < value <= 1 for value in probabilities.values())
    assert sum(probabilities.values()) == pytest.approx(len(sampler.draw(0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", [0, 42])
def test_each_scale_weighs_the_same_in_expectation(kind: Sampling, count: int, seed: int) -> None:
    sampler, steps = ScaleSampler(SCALES, kind, count, seed), 4000
    weights = dict.fromkeys(SCALES, 0.0)
    for step in range(steps):
        for drawn in sampler.draw(step):
            weights[drawn.scale] += drawn.weight / steps
    assert weights == pytest.approx(dict.fromkeys(SCALES, 0.2), rel=0.1)


def test_what_costs_less_is_drawn_more_often() -> None:
    probabilities = ScaleSampler([0.1, 0.16, 0.64], "cost_aware").probabilities()
    assert probabilities == pytest.approx({0.1: 1.0, 0.16: 2 / 3, 0.64: 1 / 3})


@given(st.sampled_from(KINDS), st.integers(0, 2**32), st.integers(0, 10**6))
def test_a_draw_depends_on_seed_and_step_alone(kind: Sampling, seed: int, step: int) -> None:
    one, other = ScaleSampler(SCALES, kind, 1, seed), ScaleSampler(list(reversed(SCALES)), kind, 1, seed)
    for earlier in range(3):
        one.draw(earlier)
    assert one.draw(step) == other.draw(step)


def test_seeds_differ() -> None:
    draws = [[scales_of(ScaleSampler(SCALES, "sandwich", 1, seed), step) for step in range(30)] for seed in (0, 1)]
    assert draws[0] != draws[1]


@pytest.mark.parametrize("kind", KINDS)
def test_dropped_scales_are_drawn_no_more_and_the_others_share_the_weight(kind: Sampling) -> None:
    sampler = ScaleSampler(SCALES, kind, 2)
    sampler.drop([0.7, 0.3])
    assert all(set(scales_of(sampler, step)) <= {0.1, 0.2, 0.4} for step in range(50))
    assert [drawn.weight for drawn in sampler.draw(0)] == pytest.approx([1 / 3] * 3)
