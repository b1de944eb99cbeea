"""Bring the metrics of all candidates to [0, 1], where lambda has its published meaning."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TypeVar, overload

from minidisc_plugin.foundation.errors import MetricError

K = TypeVar("K")

_OVERSHOOT = 1e-9  # a sum of floats may end this far outside its range
_UNIT_NAMES = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "f1",
        "precision",
        "recall",
        "exact_match",
        "roc_auc",
        "average_precision",
        "seqeval",
        "bits_saved",
    }
)
_SYMMETRIC_NAMES = frozenset(
    {"matthews_correlation", "mcc", "pearson", "pearsonr", "spearman", "spearmanr", "spearmanr_correlation"}
)
_PERCENT_NAMES = frozenset({"squad", "squad_v2"})
_LOWER_IS_BETTER = frozenset(
    {
        "loss",
        "error",
        "mse",
        "rmse",
        "mae",
        "mape",
        "smape",
        "mase",
        "msle",
        "perplexity",
        "ppl",
        "nll",
        "entropy",
        "wer",
        "cer",
        "ter",
        "brier",
        "distance",
    }
)


@dataclass(frozen=True)
class MetricRange:
    """The interval a metric lives in, in the metric's own unit; higher is better.

    Raises:
        MetricError: a bound is not finite, or low >= high.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise MetricError(f"metric range [{self.low}, {self.high}] is not finite with low < high")

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1; what lies outside is clamped, what is not finite is NaN."""
        if not math.isfinite(value):
            return math.nan
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


_UNIT = MetricRange(0.0, 1.0)
_SYMMETRIC = MetricRange(-1.0, 1.0)
_PERCENT = MetricRange(0.0, 100.0)


def _plain_name(metric: str) -> str:
    """`evaluate-metric/F1`, `./f1/f1.py` and `f1` are one metric."""
    last = re.split(r"[/\\]", metric.strip().rstrip("/\\"))[-1]
    return last.removesuffix(".py").lower().replace("-", "_")


def known_range(metric_name: str) -> MetricRange | None:
    """Tell the range of a well-known metric: [0, 1], [-1, 1], [0, 100], or None where the name says nothing."""
    name = _plain_name(metric_name)
    if name in _PERCENT_NAMES:
        return _PERCENT
    if name in _UNIT_NAMES:
        return _UNIT
    return _SYMMETRIC if name in _SYMMETRIC_NAMES else None


def _as_float(value: object, metric: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise MetricError(f"metric {metric}: {value!r} is not a number")
    number = float(value)
    return number if math.isfinite(number) else math.nan


def range_of(values: Sequence[float], metric: str, declared: MetricRange | None = None) -> MetricRange:
    """Decide once, for all values together, which interval they come from; arguments and errors as of `to_unit`."""
    numbers = [_as_float(value, metric) for value in values]
    if set(_plain_name(metric).split("_")) & _LOWER_IS_BETTER:
        raise MetricError(
            f"metric {metric}: lower is better, and the lambda-tradeoff needs one where higher is better; "
            "choose for example accuracy, f1 or pearsonr"
        )
    finite = [number for number in numbers if not math.isnan(number)]
    known = known_range(metric)
    ranges = [declared] if declared else [known or _UNIT]
    if known and not declared and known is not _PERCENT:
        ranges.append(MetricRange(100 * known.low, 100 * known.high))
    outside: list[float] = []
    for source in ranges:
        slack = _OVERSHOOT * (source.high - source.low)
        outside = [n for n in finite if not source.low - slack <= n <= source.high + slack]
        if not outside:
            return source
    raise MetricError(
        f"metric {metric}: {outside[0]:g} is outside [{source.low:g}, {source.high:g}]; declare its range: "
        f"metric: {{name: {metric}, range: [low, high]}}"
    )


@overload
def to_unit(values: Mapping[K, float], metric: str, declared: MetricRange | None = None) -> dict[K, float]: ...
@overload
def to_unit(values: Sequence[float], metric: str, declared: MetricRange | None = None) -> list[float]: ...
def to_unit(
    values: Mapping[K, float] | Sequence[float], metric: str, declared: MetricRange | None = None
) -> dict[K, float] | list[float]:
    """Bring all values of one metric to [0, 1], as one decision for the whole set.

    A declared range is taken at its word. Without one, a known metric is in its own range or, where any value
    is beyond it, the whole set is in percent; an unknown metric is in [0, 1]. A set of percentages that are
    all <= 1 % cannot be told from shares: declare `range: [0, 100]` for such a metric.

    Args:
        values: candidate -> value, or a list of values, in the metric's own unit. NaN and infinite values
            come back as NaN.
        metric: the metric's name, which decides its known range and is named in errors.
        declared: the range from the compression config, if given.

    Returns:
        The values in [0, 1], under the same keys or in the same order.

    Raises:
        MetricError: a finite value outside every range that was tried, a value that is no number, or a
            metric where lower is better.
    """
    if isinstance(values, Mapping):
        numbers = {key: _as_float(value, metric) for key, value in values.items()}
        source = range_of(list(numbers.values()), metric, declared)
        return {key: source.share(number) for key, number in numbers.items()}
    source = range_of(values, metric, declared)
    return [source.share(_as_float(value, metric)) for value in values]
