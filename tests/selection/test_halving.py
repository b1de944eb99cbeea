"""Successive halving: when candidates are compared, and which are dropped."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.selection import losing, rungs


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, []), (2, [1]), (3, [1, 2]), (4, [1, 2, 3]), (8, [2, 4, 6]), (10, [2, 5, 8])]
)
def test_candidates_are_compared_at_most_three_times_and_never_at_the_end(epochs: int, expected: list[int]) -> None:
    assert rungs(epochs) == expected


def test_of_the_worse_half_those_beyond_the_margin_are_dropped() -> None:
    tradeoffs = {0.5: 0.80, 0.4: 0.89, 0.3: 0.95, 0.2: 1.0, 0.15: 0.70}
    assert losing(tradeoffs, examples=100) == [0.15, 0.5]  # 1.0 - 0.1; 0.4 is in the better half
    assert losing(tradeoffs, examples=25) == [0.15]
    assert losing(tradeoffs, examples=4) == []


@given(st.dictionaries(st.floats(0.01, 0.99), st.floats(0, 1.2), min_size=1), st.integers(1, 10**6), st.integers(1, 4))
def test_the_best_stay_and_enough_are_left(tradeoffs: dict[float, float], examples: int, keep: int) -> None:
    dropped = losing(tradeoffs, examples, min(keep, len(tradeoffs)))
    left = tradeoffs.keys() - set(dropped)
    assert len(left) >= max(min(keep, len(tradeoffs)), math.ceil(len(tradeoffs) / 2))
    best = max(tradeoffs.values())
    assert all(best - tradeoffs[scale] > 1 / math.sqrt(examples) for scale in dropped)
    assert all(tradeoffs[scale] <= tradeoffs[other] for scale in dropped for other in left)
