"""Metrics are brought to [0, 1] as one decision for the whole set, or refused with a remedy."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.selection import MetricRange, known_range, to_unit


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", MetricRange(0, 1)),
        ("f1", MetricRange(0, 1)),
        ("evaluate-metric/F1", MetricRange(0, 1)),
        ("./metrics/f1/f1.py", MetricRange(0, 1)),
        ("exact-match", MetricRange(0, 1)),
        ("matthews_correlation", MetricRange(-1, 1)),
        ("pearson", MetricRange(-1, 1)),
        ("pearsonr", MetricRange(-1, 1)),
        ("spearmanr", MetricRange(-1, 1)),
        ("my_score", None),
    ],
)
def test_known_range(name: str, expected: MetricRange | None) -> None:
    assert known_range(name) == expected


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("accuracy", [0.8, 0.0, 1.0], [0.8, 0.0, 1.0]),
        ("accuracy", [80.0, 0.5], [0.8, 0.005]),  # one percentage makes all of them percentages
        ("f1", [100], [1.0]),
        ("f1", [1], [1.0]),
        ("matthews_correlation", [-1.0, 0.0, 0.5], [0.0, 0.5, 0.75]),
        ("pearsonr", [-50.0, 0.0, 88.0], [0.25, 0.5, 0.94]),
        ("my_score", [0.25, 1.0], [0.25, 1.0]),
    ],
)
def test_undeclared(metric: str, values: list[float], expected: list[float]) -> None:
    assert to_unit(values, metric) == pytest.approx(expected, abs=1e-12)
    mapping = dict(zip("abc", values, strict=False))
    assert to_unit(mapping, metric) == pytest.approx(dict(zip("abc", expected, strict=False)), abs=1e-12)


def test_declared_range_is_a_linear_map_even_for_a_known_name() -> None:
    assert to_unit([-4.0, 0.0, 1.0], "my_score", MetricRange(-4, 4)) == [0.0, 0.5, 0.625]
    assert to_unit([0.5], "accuracy", MetricRange(0, 100)) == [0.005]
    assert to_unit([0.0], "matthews_correlation", MetricRange(0, 1)) == [0.0]


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_declared_range_inverts_its_own_map(shares: list[float], low: float, width: float) -> None:
    high = low + width
    moved = [low + share * (high - low) for share in shares]
    assert to_unit(moved, "my_score", MetricRange(low, high)) == pytest.approx(shares, abs=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=1), st.sampled_from(["accuracy", "pearsonr"]))
def test_order_is_kept(values: list[float], metric: str) -> None:
    values = [abs(value) for value in values] if metric == "accuracy" else values
    units = to_unit(values, metric)
    assert all(0.0 <= unit <= 1.0 for unit in units)
    assert units[values.index(max(values))] == max(units)


@pytest.mark.parametrize(
    ("metric", "values", "declared", "told"),
    [
        ("my_score", [0.4, 1.5], None, r"metric my_score: 1\.5 is outside \[0, 1\]"),
        ("my_score", [-0.3], None, r"metric my_score: -0\.3 is outside \[0, 1\]"),
        ("accuracy", [101.0, 0.5], None, r"metric accuracy: 101 is outside \[0, 100\]"),
        ("accuracy", [-0.1, 0.5], None, r"metric accuracy: -0\.1 is outside"),
        ("accuracy", [1 + 1e-6, -1e-6], None, "metric accuracy: -1e-06 is outside"),
        ("pearsonr", [-101.0], None, r"metric pearsonr: -101 is outside \[-100, 100\]"),
        ("my_score", [0.4, 4.5], MetricRange(-4, 4), r"metric my_score: 4\.5 is outside \[-4, 4\]"),
        ("accuracy", [50.0], MetricRange(0, 1), r"metric accuracy: 50 is outside \[0, 1\]"),
    ],
)
def test_outside_every_range(metric: str, values: list[float], declared: MetricRange | None, told: str) -> None:
    remedy = rf".*metric: \{{name: {metric}, range: \[low, high\]\}}"
    with pytest.raises(MetricError, match=told + remedy) as caught:
        to_unit(values, metric, declared)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metric", ["mse", "eval_loss", "perplexity", "root_mean_squared_error", "x/wer", "brier_score"]
)
@pytest.mark.parametrize("declared", [None, MetricRange(0, 1)])
def test_lower_is_better_is_refused(metric: str, declared: MetricRange | None) -> None:
    with pytest.raises(MetricError, match="lower is better"):
        to_unit([0.5], metric, declared)


def test_not_finite_values_pass_as_nan_and_decide_nothing() -> None:
    result = to_unit({0.5: 0.8, 0.3: math.inf, 0.2: math.nan, 0.15: -math.inf}, "accuracy")
    assert result[0.5] == 0.8
    assert all(math.isnan(result[scale]) for scale in (0.3, 0.2, 0.15))
    assert all(math.isnan(value) for value in to_unit([math.nan, math.inf], "my_score"))
    assert to_unit([], "my_score") == []


def test_small_overshoot_is_clamped_not_taken_for_percent() -> None:
    assert to_unit([1.0 + 5e-10, -5e-10, 0.5], "accuracy") == [1.0, 0.0, 0.5]
    assert to_unit([1.0 + 5e-10], "pearsonr") == [1.0]
    assert to_unit([4.0 + 1e-9], "my_score", MetricRange(-4, 4)) == [1.0]


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5]])
def test_not_a_number(value: Any) -> None:
    with pytest.raises(MetricError, match=r"metric accuracy.*is not a number"):
        to_unit({0.5: value}, "accuracy")


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 0), (0, math.inf), (math.nan, 1)])
def test_range_refused(low: float, high: float) -> None:
    with pytest.raises(MetricError, match="low < high"):
        MetricRange(low, high)
