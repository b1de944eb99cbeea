"""The rules that choose an assistant, by arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minidisc_plugin.foundation.errors import ConfigError, MetricError
from minidisc_plugin.selection import Criterion, Scores, choose, lambda_range

FOUND = {
    0.5: Scores(0.90, log_loss=0.30, gap=0.40),
    0.3: Scores(0.89, log_loss=0.32, gap=0.10),
    0.2: Scores(0.80, log_loss=0.50, gap=0.02),
}


@pytest.mark.parametrize(
    ("criterion", "chosen", "said"),
    [
        (Criterion("lambda", lam=0.2), 0.3, "largest f1 + 0.2 * (1 - scale)"),
        (Criterion("lambda", lam=0.0), 0.5, "largest f1 + 0 * (1 - scale)"),
        (Criterion("log_loss"), 0.5, "lowest log-loss"),
        (Criterion("gap"), 0.3, "lowest log-loss + 1 * divergence of the student's slice"),
        (Criterion("gap", gap_weight=0.01), 0.5, "lowest log-loss + 0.01 * divergence of the student's slice"),
        (Criterion("gap", gap_weight=9.0), 0.2, "lowest log-loss + 9 * divergence of the student's slice"),
    ],
)
def test_each_rule(criterion: Criterion, chosen: float, said: str) -> None:
    assert criterion.choose(FOUND, 0.1) == (chosen,)
    assert criterion.words("f1") == said
    values = {scale: criterion.value(scale, scores) for scale, scores in FOUND.items()}
    assert max(values, key=lambda scale: values[scale] or -math.inf) == chosen


def test_the_teacher_may_take_part() -> None:
    assert Criterion("log_loss").choose({1.0: Scores(0.95, 0.1, 2.0), **FOUND}, 0.1) == (1.0,)
    assert Criterion("gap").choose({1.0: Scores(0.95, 0.1, 2.0), **FOUND}, 0.1) == (0.3,)
    assert Criterion("lambda").choose({1.0: Scores(0.95), **FOUND}, 0.1) == (0.3,)


def test_a_tie_goes_to_the_smallest_and_two_come_from_the_largest() -> None:
    tied = {0.5: Scores(0.9, 0.3), 0.4: Scores(0.9, 0.3), 0.2: Scores(0.9, 0.4)}
    assert Criterion("log_loss").choose(tied, 0.1) == (0.4,)
    assert Criterion("log_loss").choose(tied, 0.1, 2) == (0.5, 0.4)


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_what_is_unknown_is_never_chosen(unknown: float | None) -> None:
    found = {**FOUND, 0.5: Scores(0.9, log_loss=unknown, gap=0.0), 0.3: Scores(0.9, log_loss=0.1, gap=unknown)}
    assert Criterion("log_loss").choose(found, 0.1) == (0.3,)
    assert Criterion("gap").choose(found, 0.1) == (0.2,)
    with pytest.raises(MetricError, match="2 candidates wanted, 1 have a finite log-loss and divergence"):
        Criterion("gap").choose(found, 0.1, 2)


@pytest.mark.parametrize("rule", ["lambda", "log_loss", "gap"])
def test_candidates_lie_above_the_student(rule: str) -> None:
    with pytest.raises(ConfigError, match="larger than the target"):
        Criterion(rule).choose(FOUND, 0.2)  # type: ignore[arg-type]


SCALES = st.lists(st.integers(2, 9), min_size=2, max_size=7, unique=True)


@given(st.data(), SCALES, st.floats(0, 5), st.integers(1, 2))
def test_lambda_range_is_where_the_choice_is_the_same(
    data: st.DataObject, tenths: list[int], lam: float, count: int
) -> None:
    metrics = {tenth / 10: data.draw(st.integers(0, 100)) / 100 for tenth in tenths}
    chosen = choose(metrics, lam, 0.1, count)
    low, high = lambda_range(metrics, chosen)
    assert low - 1e-9 <= lam <= high + 1e-9
    assume(high - low > 1e-6)
    inside = data.draw(st.floats(low, min(high, low + 10), exclude_min=True, exclude_max=True))
    assume(min(inside - low, high - inside) > 1e-9)
    assert choose(metrics, inside, 0.1, count) == chosen
    for outside in (low - 1e-3, high + 1e-3):
        if 0 <= outside < math.inf:
            assert choose(metrics, outside, 0.1, count) != chosen
