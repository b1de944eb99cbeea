"""Which scales a step trains: reproducible, always with both ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.training.sandwich import ScaleSampler

SCALES = [0.7, 0.1, 0.4, 0.2, 0.3]
sets_of_scales = st.lists(st.floats(0.01, 1), min_size=1, max_size=8, unique=True)


@pytest.mark.parametrize("random_scales", [None, 3, 10])
def test_all_scales_are_trained_unless_fewer_are_asked_for(random_scales: int | None) -> None:
    sampler = ScaleSampler(SCALES, random_scales, seed=0)
    assert all(sampler.draw(step) == [0.1, 0.2, 0.3, 0.4, 0.7] for step in range(20))


@given(sets_of_scales, st.none() | st.integers(0, 8), st.integers(0, 2**32), st.integers(0, 10**6))
def test_a_draw_holds_both_ends_and_ascends(scales: list[float], count: int | None, seed: int, step: int) -> None:
    drawn = ScaleSampler(scales, count, seed).draw(step)
    assert drawn == sorted(set(drawn)) and set(drawn) <= set(scales)
    assert drawn[0] == min(scales) and drawn[-1] == max(scales)
    inner = max(len(scales) - 2, 0)
    assert len(drawn) == min(len(scales), 2) + (inner if count is None else min(count, inner))


@given(st.integers(0, 2**32), st.integers(0, 10**6))
def test_a_draw_depends_on_seed_and_step_alone(seed: int, step: int) -> None:
    one, other = ScaleSampler(SCALES, 1, seed), ScaleSampler(list(reversed(SCALES)), 1, seed)
    for earlier in range(3):
        one.draw(earlier)
    assert one.draw(step) == other.draw(step)


@pytest.mark.parametrize("random_scales", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 42])
def test_every_inner_scale_has_its_turn(random_scales: int, seed: int) -> None:
    sampler = ScaleSampler(SCALES, random_scales, seed)
    inner = [scale for step in range(300) for scale in sampler.draw(step)[1:-1]]
    for scale in (0.2, 0.3, 0.4):
        assert inner.count(scale) / 300 == pytest.approx(random_scales / 3, abs=0.1)


def test_seeds_differ() -> None:
    draws = [[tuple(ScaleSampler(SCALES, 1, seed).draw(step)) for step in range(30)] for seed in (0, 1)]
    assert draws[0] != draws[1]
