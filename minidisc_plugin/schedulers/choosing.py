"""From what was measured of the candidates to a choice among them, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from minidisc_plugin.contracts.records import Candidate, ScheduleRecord
from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.selection import Criterion, MetricRange, Scores, lambda_range, tradeoff


def with_scores(
    candidates: Sequence[Candidate],
    found: Sequence[Mapping[str, Any]],
    range_of: Callable[[Sequence[float]], MetricRange],
) -> list[Candidate]:
    """Candidates with what was measured of them.

    Args:
        candidates: Without metrics.
        found: Of each, `metric` as it is reported, and where it was examined `log_loss`, `gap` and `resampled`.
        range_of: Says which interval all metrics come from. Draws tell how sure a choice is, and have no say in it.
    """
    source = range_of([one["metric"] for one in found])
    evaluated = []
    for candidate, one in zip(candidates, found, strict=True):
        redrawn = [source.share(_known(value)) for value in one.get("resampled", {}).get("metric", [])]
        changes = {"raw_metric": one["metric"], "metric": source.share(one["metric"])}
        if "resampled" in one:
            sides = {name: [_rounded(value) for value in one["resampled"][name]] for name in ("log_loss", "gap")}
            resampled = {"metric": [_rounded(value) for value in redrawn], **sides}
            changes |= {"log_loss": one["log_loss"], "gap": one["gap"], "resampled": resampled}
            changes["metric_interval"] = interval(redrawn)
        evaluated.append(Candidate.model_validate({**candidate.model_dump(), **changes}))
    return evaluated


def settle(candidates: Sequence[Candidate], criterion: Criterion, target: float, count: int) -> list[Candidate]:
    """The candidates with what they are worth, which were chosen, and in how many draws each would have been.

    Those that were dropped in training, or never measured, take no part.

    Raises:
        MetricError: fewer than `count` can be valued.
        ConfigError: a weight or `count` is out of its range.
    """
    racing = [one for one in candidates if one.dropped_after is None and (one.metric, one.log_loss) != (None, None)]
    scores = {one.scale: scores_of(one) for one in racing}
    chosen = criterion.choose(scores, target, count)
    shares = _shares(racing, criterion, target, count)
    settled = []
    for one in candidates:
        worth = None
        if criterion.rule == "lambda" and one.metric is not None:
            worth = tradeoff(one.metric, one.scale, criterion.lam)
        changes = {"tradeoff": worth, "selected": one.scale in chosen, "chosen_in": shares.get(one.scale)}
        settled.append(one.model_copy(update=changes))
    return settled


def scores_of(candidate: Candidate) -> Scores:
    """What a candidate scored."""
    return Scores(candidate.metric, candidate.log_loss, candidate.gap)


def criterion_of(record: ScheduleRecord) -> Criterion | None:
    """By what a run chose; None where its scheduler has no such rule."""
    rule, usual = record.chosen_by, Criterion()
    if rule is None and record.lam is not None:  # of an earlier release
        rule = "lambda"
    if rule is None:
        return None
    lam, gap_weight = record.lam, record.gap_weight
    return Criterion(rule, usual.lam if lam is None else lam, usual.gap_weight if gap_weight is None else gap_weight)


def reasons(candidates: Sequence[Candidate], criterion: Criterion, metric: str) -> dict[str, Any]:
    """How a choice was made, as the fields of a `ScheduleRecord`.

    Args:
        candidates: Settled.
        criterion: By what.
        metric: Name of the selection metric.
    """
    by_lambda = criterion.rule == "lambda"
    metrics = {one.scale: one.metric for one in candidates if one.metric is not None and one.dropped_after is None}
    chosen = [one.scale for one in candidates if one.selected]
    low, high = lambda_range(metrics, chosen)
    return {
        "rule": criterion.words(metric),
        "chosen_by": criterion.rule,
        "lam": criterion.lam if by_lambda else None,
        "lambda_range": (low, None if math.isinf(high) else high) if by_lambda else None,
        "gap_weight": criterion.gap_weight if criterion.rule == "gap" else None,
    }


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 2.5th and the 97.5th of a hundred sorted values; None where one is not known, or there are none."""
    if not values or not all(map(math.isfinite, values)):
        return None
    import numpy as np  # tables and plots import this module, and are cheap

    low, high = np.quantile(values, 0.025, method="lower"), np.quantile(values, 0.975, method="higher")
    return _rounded(float(low)), _rounded(float(high))


def _shares(racing: Sequence[Candidate], criterion: Criterion, target: float, count: int) -> dict[float, float]:
    """By scale, in which share of the draws a candidate is chosen; empty where draws do not tell."""
    needed = ("metric",) if criterion.rule == "lambda" else ("log_loss", "gap")
    columns = [one.resampled for one in racing if one.resampled is not None]
    draws = min((len(getattr(one, name)) for one in columns for name in needed), default=0)
    if len(columns) < len(racing) or not draws:
        return {}
    counts = dict.fromkeys((one.scale for one in racing), 0)
    told = 0
    for draw in range(draws):
        scores = {
            one.scale: Scores(*(_at(getattr(column, name), draw) for name in ("metric", "log_loss", "gap")))
            for one, column in zip(racing, columns, strict=True)
        }
        with suppress(MetricError):
            for scale in criterion.choose(scores, target, count):
                counts[scale] += 1
            told += 1
    return {scale: number / told for scale, number in counts.items()} if told else {}


def _at(values: Sequence[float | None], draw: int) -> float | None:
    return values[draw] if draw < len(values) else None


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _rounded(value: float | None) -> Any:
    return value if value is None or not math.isfinite(value) else round(value, 6)
