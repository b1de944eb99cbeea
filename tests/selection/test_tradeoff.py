"""The lambda-tradeoff against the published table, an oracle in decimals, and its own promises."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidisc_plugin
from minidisc_plugin.foundation.errors import ConfigError, MetricError
from minidisc_plugin.selection import check_candidates, choose, to_unit, tradeoff

# MiniDisc, BERT-base, 10 % student: scale -> (metric of the candidate, metric of the student that it taught).
MRPC = {
    0.7: (0.915, 0.863),
    0.6: (0.913, 0.864),
    0.5: (0.913, 0.863),
    0.4: (0.899, 0.868),
    0.3: (0.889, 0.874),
    0.2: (0.870, 0.871),
}
QQP = {
    0.7: (0.887, 0.843),
    0.6: (0.886, 0.843),
    0.5: (0.883, 0.844),
    0.4: (0.881, 0.844),
    0.3: (0.877, 0.845),
    0.2: (0.870, 0.847),
}
MRPC_STUDENT = 0.867  # the target scale's own metric as a candidate


def candidates_of(table: dict[float, tuple[float, float]]) -> dict[float, float]:
    return {scale: candidate for scale, (candidate, _) in table.items()}


# Everything in thousandths, so that decimals (the oracle) and floats (the code) mean the same numbers.
thousandths = st.integers(0, 1000).map(lambda n: Decimal(n) / 1000)
decimal_tables = st.dictionaries(st.integers(101, 999).map(lambda n: Decimal(n) / 1000), thousandths, min_size=1)
decimal_lambdas = st.integers(0, 3000).map(lambda n: Decimal(n) / 1000)


def as_floats(table: dict[Decimal, Decimal]) -> dict[float, float]:
    return {float(scale): float(metric) for scale, metric in table.items()}


@pytest.mark.parametrize(("table", "regret"), [(MRPC, 0.003), (QQP, 0.0)], ids=["mrpc", "qqp"])
def test_published_table(table: dict[float, tuple[float, float]], regret: float) -> None:
    (chosen,) = choose(candidates_of(table), lam=0.2, target=0.1)
    assert chosen == 0.2
    best_student = max(student for _, student in table.values())
    assert best_student - table[chosen][1] == pytest.approx(regret, abs=1e-9)


def test_published_table_without_lambda_takes_the_best_metric() -> None:
    assert choose(candidates_of(MRPC), lam=0.0, target=0.1) == (0.7,)


def test_two_assistants_are_ordered_from_larger_to_smaller() -> None:
    assert choose(candidates_of(MRPC), lam=0.2, target=0.1, count=2) == (0.3, 0.2)
    assert choose(candidates_of(MRPC), lam=0.0, target=0.1, count=3) == (0.7, 0.6, 0.5)


def test_the_student_would_win_its_own_race_and_is_kept_out() -> None:
    best = max(tradeoff(metric, scale, 0.2) for scale, metric in candidates_of(MRPC).items())
    assert tradeoff(MRPC_STUDENT, 0.1, 0.2) > best
    with pytest.raises(ConfigError, match=r"scheduler_config\.candidates.*0\.1.*\(0\.1, 1\)"):
        choose({**candidates_of(MRPC), 0.1: MRPC_STUDENT}, lam=0.2, target=0.1)


def test_tradeoff_is_metric_plus_lambda_times_sparsity() -> None:
    assert tradeoff(metric=0.889, scale=0.3, lam=0.2) == 1.029
    assert tradeoff(metric=0.889, scale=0.3) == 1.029
    assert tradeoff(metric=0.5, scale=1.0, lam=7.0) == 0.5


@given(thousandths, thousandths, st.integers(1, 1000), st.integers(1, 1000), decimal_lambdas)
def test_tradeoff_grows_with_metric_and_sparsity(a: Decimal, b: Decimal, s: int, r: int, lam: Decimal) -> None:
    low, high = sorted((float(a), float(b)))
    small, large = sorted((s / 1000, r / 1000))
    assert tradeoff(low, small, float(lam)) <= tradeoff(high, small, float(lam))
    assert tradeoff(low, large, float(lam)) <= tradeoff(low, small, float(lam))
    if high > low:
        assert tradeoff(high, small, float(lam)) > tradeoff(low, small, float(lam))


@pytest.mark.parametrize("metric", [-0.01, 1.01, 88.9, math.nan, math.inf, True, "0.8", None])
def test_tradeoff_refuses_a_metric_outside_the_unit_interval(metric: Any) -> None:
    with pytest.raises(MetricError):
        tradeoff(metric, 0.5)


@pytest.mark.parametrize(
    ("scale", "lam"),
    [
        *((scale, 0.2) for scale in (0.0, 1.1, math.nan, True, "0.5")),
        *((0.5, lam) for lam in (-0.1, math.inf, math.nan, True, "0.2")),
    ],
)
def test_tradeoff_refuses_scale_and_lambda_out_of_range(scale: Any, lam: Any) -> None:
    with pytest.raises(ConfigError):
        tradeoff(0.8, scale, lam)


def test_candidates_are_sorted_as_numbers() -> None:
    assert check_candidates([0.05, 0.5, 0.15], target=0.01) == (0.5, 0.15, 0.05)
    checked = check_candidates(np.array([0.2, 0.3]), target=0.1)  # type: ignore[arg-type]
    assert checked == (0.3, 0.2)
    assert all(type(scale) is float for scale in checked)


@pytest.mark.parametrize(
    ("scales", "told"),
    [
        ([0.5, 0.1], r"0\.1 is not in \(0\.1, 1\)"),
        ([0.5, 0.1 + 1e-9], r"0\.1 is not in \(0\.1, 1\)"),
        ([0.05], r"0\.05 is not in \(0\.1, 1\)"),
        ([1.0], r"1 is not in \(0\.1, 1\)"),
        ([math.nan], r"nan is not in \(0\.1, 1\)"),
        ([math.inf], r"inf is not in \(0\.1, 1\)"),
        ([0.3, 0.1 + 0.2], r"0\.3 is given twice"),
        ([], "is empty"),
        (["0.5"], "'0.5' is not a number"),
        ("0.5", "'0.5' is not a number"),
        ([0.5, True], "True is not a number"),
        ([None], "None is not a number"),
    ],
)
def test_candidates_refused(scales: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^scheduler_config\.candidates: {told}"):
        check_candidates(scales, target=0.1)


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, math.nan, True, "0.1"])
def test_target_refused(target: Any) -> None:
    with pytest.raises(ConfigError, match="target scale"):
        check_candidates([0.5], target)


@given(decimal_tables, decimal_lambdas, st.integers(1, 3))
def test_choice_is_what_decimal_arithmetic_says(table: dict[Decimal, Decimal], lam: Decimal, count: int) -> None:
    count = min(count, len(table))
    ranked = sorted(table, key=lambda scale: (-(table[scale] + lam * (1 - scale)), scale))
    expected = tuple(sorted((float(scale) for scale in ranked[:count]), reverse=True))
    assert choose(as_floats(table), float(lam), target=0.1, count=count) == expected


@given(decimal_tables, decimal_lambdas, st.randoms(use_true_random=False))
def test_order_of_the_mapping_does_not_matter(table: dict[Decimal, Decimal], lam: Decimal, random: Any) -> None:
    items = list(as_floats(table).items())
    shuffled = items[:]
    random.shuffle(shuffled)
    assert choose(dict(items), float(lam), 0.1) == choose(dict(shuffled), float(lam), 0.1)


@given(decimal_tables, decimal_lambdas, decimal_lambdas)
def test_a_larger_lambda_never_picks_a_larger_scale(table: dict[Decimal, Decimal], a: Decimal, b: Decimal) -> None:
    low, high = sorted((float(a), float(b)))
    metrics = as_floats(table)
    assert choose(metrics, high, 0.1)[0] <= choose(metrics, low, 0.1)[0]


@given(decimal_tables, decimal_lambdas)
def test_percent_and_share_choose_the_same(table: dict[Decimal, Decimal], lam: Decimal) -> None:
    shares = {scale: max(metric, Decimal("0.011")) for scale, metric in table.items()}
    percent = {float(scale): float(100 * metric) for scale, metric in shares.items()}
    from_percent = choose(to_unit(percent, "accuracy"), float(lam), 0.1)
    assert from_percent == choose(to_unit(as_floats(shares), "accuracy"), float(lam), 0.1)


def test_a_tie_goes_to_the_cheaper_assistant() -> None:
    assert choose({0.5: 0.8, 0.3: 0.76}, lam=0.2, target=0.1) == (0.3,)  # both 0.9, up to rounding
    assert choose({0.5: 0.8, 0.3: 0.8}, lam=0.0, target=0.1) == (0.3,)
    assert choose({0.5: 0.8 + 9e-13, 0.3: 0.8}, lam=0.0, target=0.1) == (0.3,)
    assert choose({0.5: 0.8 + 2e-12, 0.3: 0.8}, lam=0.0, target=0.1) == (0.5,)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_a_candidate_without_a_finite_metric_is_never_chosen(broken: float) -> None:
    assert choose({0.7: 0.5, 0.5: broken, 0.3: broken}, lam=0.2, target=0.1) == (0.7,)


def test_too_few_finite_metrics_are_named() -> None:
    with pytest.raises(MetricError, match=r"2 candidates wanted, 1 have.*0\.7: 0\.9, 0\.5: nan") as caught:
        choose({0.5: math.nan, 0.7: 0.9}, lam=0.2, target=0.1, count=2)
    assert "\n" not in str(caught.value)


def test_a_metric_in_percent_is_refused_and_named() -> None:
    with pytest.raises(MetricError, match=r"candidate 0\.5 is 88\.9"):
        choose({0.5: 88.9, 0.3: 0.7}, lam=0.2, target=0.1)


@pytest.mark.parametrize("count", [0, -1, 1.0, True])
def test_count_refused(count: Any) -> None:
    with pytest.raises(ConfigError, match="assistants"):
        choose({0.5: 0.8, 0.3: 0.7}, lam=0.2, target=0.1, count=count)


@pytest.mark.parametrize("lam", [-1e-9, math.nan, math.inf])
def test_lambda_refused(lam: float) -> None:
    with pytest.raises(ConfigError, match="lambda"):
        choose({0.5: 0.8}, lam, target=0.1)


def test_no_heavy_import() -> None:
    code = (  # the package without its __init__, which imports what it likes
        "import sys, types\n"
        "bare = sys.modules['minidisc_plugin'] = types.ModuleType('minidisc_plugin')\n"
        f"bare.__path__ = [{str(Path(minidisc_plugin.__file__).parent)!r}]\n"
        "import minidisc_plugin.selection\n"
        "print(*sorted({'torch', 'numpy', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
