"""How sure a choice is: candidates whose draws are written by hand."""

from __future__ import annotations

import math

import pytest

from minidisc_plugin.contracts.records import Candidate
from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.schedulers.choosing import interval, reasons, settle, with_scores
from minidisc_plugin.selection import Criterion, MetricRange, range_of

DRAWS = {0.6: [0.9, 0.9, 0.8, 0.7], 0.3: [0.8, 0.8, 0.8, 0.8]}


def candidate(scale: float, **changes: object) -> Candidate:
    sizes = {"sparsity": 1 - scale, "heads": [4], "neurons": [64], "parameters": 9, "encoder_parameters": 9}
    return Candidate.model_validate({"scale": scale, **sizes, **changes})


def scored(percent: bool = False, losses: bool = True) -> list[Candidate]:
    """Two candidates as an examination leaves them; by log-loss the large one is better in one draw of four."""
    factor = 100 if percent else 1
    found = [
        {
            "metric": factor * sum(drawn) / 4,
            "log_loss": 1 - sum(drawn) / 4,
            "gap": 0.1,
            "resampled": {
                "metric": [factor * value for value in drawn],
                "log_loss": [0.1 if scale == 0.3 or draw == 0 else 0.2 for draw in range(4)] if losses else [],
                "gap": [math.nan] * 4,
            },
        }
        for scale, drawn in DRAWS.items()
    ]
    return with_scores([candidate(scale) for scale in DRAWS], found, lambda metrics: MetricRange(0, factor))


@pytest.mark.parametrize("percent", [False, True])
def test_metrics_and_their_draws_are_brought_to_one_unit(percent: bool) -> None:
    large, small = scored(percent)
    assert large.metric == pytest.approx(0.825) and large.raw_metric == pytest.approx(82.5 if percent else 0.825)
    assert large.metric_interval == pytest.approx((0.7, 0.9)) and small.metric_interval == pytest.approx((0.8, 0.8))
    assert large.resampled is not None and large.resampled.metric == pytest.approx(DRAWS[0.6])
    assert large.resampled.gap == [None] * 4  # JSON has no NaN


def test_the_share_of_draws_that_choose_alike() -> None:
    large, small = settle(scored(), Criterion("lambda", lam=0.0), 0.1, 1)
    # Two draws for the large one, one for the small one, and a tie, which is the small one's.
    assert (large.chosen_in, small.chosen_in) == (0.5, 0.5)
    assert (large.selected, small.selected) == (True, False)
    large, small = settle(scored(), Criterion("lambda", lam=1.0), 0.1, 1)
    assert (large.chosen_in, small.chosen_in) == (0.0, 1.0)
    large, small = settle(scored(), Criterion("log_loss"), 0.1, 1)
    assert (large.chosen_in, small.chosen_in, small.tradeoff) == (0.0, 1.0, None)


def test_draws_that_do_not_tell_give_no_share() -> None:
    assert [one.chosen_in for one in settle(scored(losses=False), Criterion("log_loss"), 0.1, 1)] == [None, None]
    assert [one.chosen_in for one in settle(scored(), Criterion("gap"), 0.1, 1)] == [None, None]  # gaps are unknown
    plain = [one.model_copy(update={"resampled": None}) for one in scored()]
    assert [one.chosen_in for one in settle(plain, Criterion(), 0.1, 1)] == [None, None]


def test_a_dropped_candidate_is_not_chosen() -> None:
    dropped, small = scored()
    dropped = dropped.model_copy(update={"dropped_after": 1})
    settled = settle([dropped, small], Criterion("lambda", lam=0.0), 0.1, 1)
    assert [one.selected for one in settled] == [False, True]
    assert settled[0].tradeoff == pytest.approx(0.825)
    why = reasons(settled, Criterion("lambda", lam=0.0), "f1")
    assert why["lambda_range"] == (0.0, None)  # nothing else can win
    assert (why["chosen_by"], why["lam"], why["gap_weight"]) == ("lambda", 0.0, None)


def test_intervals_need_every_draw() -> None:
    assert interval([]) is None and interval([0.1, math.nan]) is None
    assert interval([value / 1000 for value in range(1001)]) == (0.025, 0.975)


@pytest.mark.parametrize(
    ("metric", "drawn", "expected"),
    [
        ("r2", [0.4, -0.01], [0.4, 0.0]),  # an unknown metric is in [0, 1]
        ("pearsonr", [0.9, -1.5], [0.95, 0.0]),
        ("accuracy", [0.4, 1.2], [0.4, 1.0]),  # a draw does not say that the metrics are in percent
    ],
)
def test_draws_do_not_decide_what_the_metrics_mean(metric: str, drawn: list[float], expected: list[float]) -> None:
    found = {"metric": 0.3, "log_loss": 0.5, "gap": 0.1, "resampled": {"metric": drawn, "log_loss": [], "gap": []}}
    (one,) = with_scores([candidate(0.5)], [found], lambda values: range_of(values, metric))
    assert one.metric == pytest.approx(0.65 if metric == "pearsonr" else 0.3)
    assert one.resampled is not None
    assert one.resampled.metric == pytest.approx(expected)


def unmeasured(metric: float | None, log_loss: float | None, scale: float = 0.5) -> Candidate:
    return candidate(scale, metric=metric, log_loss=log_loss, gap=log_loss)


def test_the_rule_s_own_quantity_decides_who_takes_part() -> None:
    without_metric, worse, nothing = unmeasured(None, 0.2), unmeasured(0.9, 0.4, 0.3), unmeasured(None, None, 0.2)
    for rule in ("log_loss", "gap"):
        settled = settle([without_metric, worse, nothing], Criterion(rule), 0.1, 1)
        assert [one.selected for one in settled] == [True, False, False]
    settled = settle([without_metric, worse, nothing], Criterion("lambda"), 0.1, 1)
    assert [one.selected for one in settled] == [False, True, False]


def test_a_teacher_that_alone_can_be_valued_is_chosen() -> None:
    settled = settle([unmeasured(0.9, 0.5, 1.0), unmeasured(None, math.nan)], Criterion("lambda"), 0.1, 1)
    assert [one.selected for one in settled] == [True, False]


def test_where_nothing_can_be_valued_it_is_not_the_candidates_that_are_blamed() -> None:
    for rule in ("lambda", "log_loss", "gap"):
        with pytest.raises(MetricError, match="1 candidates wanted, 0 have a finite"):
            settle([unmeasured(None, None)], Criterion(rule), 0.1, 1)
    with pytest.raises(MetricError, match=r"finite metric \(0.5: nan\); lower the learning rate"):
        settle([unmeasured(None, 0.3)], Criterion("lambda"), 0.1, 1)
