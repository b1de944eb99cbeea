"""The lambda-tradeoff that chooses the teacher assistant (MiniDisc, arXiv 2205.14570, section 3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

from minidisc_plugin.foundation.errors import ConfigError, MetricError

_CANDIDATES = "scheduler_config.candidates"
_DIGITS = 6  # scales equal to so many decimals are one scale
_TIE = 1e-12  # tradeoffs closer than this differ by rounding only


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_metric(metric: float, scale: float | None = None) -> float:
    """Give a metric back as a float in [0, 1]; MetricError otherwise."""
    if not _is_number(metric) or not 0.0 <= metric <= 1.0:  # NaN fails the comparison too
        where = "" if scale is None else f" of candidate {scale:g}"
        raise MetricError(f"metric{where} is {metric!r}, not a number in [0, 1]; bring it there with to_unit")
    return float(metric)


def check_lambda(lam: float) -> float:
    """Give lambda back as a finite float >= 0; ConfigError otherwise."""
    if not _is_number(lam) or not 0.0 <= lam < math.inf:
        raise ConfigError(f"lambda is {lam!r}, not a finite number >= 0; the published value is 0.2")
    return float(lam)


def tradeoff(metric: float, scale: float, lam: float = 0.2) -> float:
    """Compute t = m + lambda * (1 - s): what a candidate scores plus a bonus for what it saves.

    Args:
        metric: the candidate's metric m, a share in [0, 1], higher is better.
        scale: the share s of heads and neurons that the candidate keeps, in (0, 1].
        lam: lambda, finite and >= 0, in metric per unit of sparsity; 0.2 is the published default.

    Returns:
        The tradeoff, in [0, 1 + lam].

    Raises:
        MetricError: the metric is not a number in [0, 1].
        ConfigError: the scale or lambda is out of its range.
    """
    if not _is_number(scale) or not 0.0 < scale <= 1.0:
        raise ConfigError(f"scale is {scale!r}, not a number in (0, 1]")
    return _check_metric(metric, scale) + check_lambda(lam) * (1.0 - float(scale))


def check_candidates(scales: Sequence[float], target: float) -> tuple[float, ...]:
    """Check candidate scales and sort them from largest to smallest.

    Args:
        scales: shares of heads and neurons kept, in any order; numbers, never strings.
        target: the student's scale, in (0, 1). The student itself takes no part in the race: with the
            published numbers it would win it and no assistant would be used.

    Returns:
        The same scales as floats, in descending order. Scales are compared rounded to 6 decimals.

    Raises:
        ConfigError: no scale at all, a scale that is no number, one outside (target, 1), or one given twice.
    """
    if not _is_number(target) or not 0.0 < target < 1.0:
        raise ConfigError(f"the target scale is {target!r}, not a number in (0, 1)")
    values = scales if isinstance(scales, Iterable) and not isinstance(scales, (str, bytes)) else [scales]
    seen: dict[float, float] = {}
    for scale in values:
        if not _is_number(scale):
            raise ConfigError(f"{_CANDIDATES}: {scale!r} is not a number; write scales such as 0.5")
        key = round(float(scale), _DIGITS)
        if not round(float(target), _DIGITS) < key < 1.0:  # NaN fails the comparison too
            raise ConfigError(
                f"{_CANDIDATES}: {float(scale):g} is not in ({target:g}, 1); a candidate is larger than the "
                "target scale and smaller than the teacher"
            )
        if key in seen:
            raise ConfigError(f"{_CANDIDATES}: {float(scale):g} is given twice; remove one")
        seen[key] = float(scale)
    if not seen:
        raise ConfigError(f"{_CANDIDATES}: is empty; give at least one scale in ({target:g}, 1)")
    return tuple(seen[key] for key in sorted(seen, reverse=True))


def check_count(count: int) -> None:
    """Refuse a number of assistants that is none.

    Raises:
        ConfigError: it is not a whole number, or below 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"the number of assistants is {count!r}, not a whole number >= 1")


def largest(values: Mapping[float, float], count: int = 1) -> tuple[float, ...]:
    """The scales with the largest values, from the largest scale to the smallest.

    Values within 1e-12 of the largest tie with it, and a tie goes to the smallest scale, the cheapest assistant.

    Args:
        values: Candidate scale -> a finite number, larger is better.
        count: How many, from 1 to the number of values.
    """
    left = dict(values)
    chosen: list[float] = []
    for _ in range(count):
        best = max(left.values())
        chosen.append(min(scale for scale, value in left.items() if best - value <= _TIE))
        del left[chosen[-1]]
    return tuple(sorted(chosen, reverse=True))


def lambda_range(metrics: Mapping[float, float], chosen: Sequence[float]) -> tuple[float, float]:
    """The values of lambda with which these candidates are chosen, and no other.

    Each candidate's tradeoff is a line over lambda, so they are one interval, from 0 at least; its end may be infinite.

    Args:
        metrics: Candidate scale -> its metric in [0, 1].
        chosen: Scales among them that some lambda chooses.
    """
    low, high = 0.0, math.inf
    for mine in chosen:
        for other in metrics.keys() - set(chosen):
            # m + lambda (1 - s) >= m' + lambda (1 - s')
            ahead, cheaper = metrics[mine] - metrics[other], other - mine
            if cheaper > 0:
                low = max(low, -ahead / cheaper)
            else:
                high = min(high, -ahead / cheaper)
    return low, max(low, high)
