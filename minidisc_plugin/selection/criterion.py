"""By what an assistant is chosen: the published tradeoff, or what held-out labels and the student say of a teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

from minidisc_plugin.contracts.rules import Rule
from minidisc_plugin.foundation.errors import ConfigError, MetricError
from minidisc_plugin.selection.tradeoff import check_candidates, check_count, check_lambda, largest, tradeoff

TEACHER = 1.0
"""The scale of the teacher among candidates: the student is then distilled from it, without an assistant."""


@dataclass(frozen=True)
class Scores:
    """What one candidate scored on the selection split; None, or a number that is not finite, is unknown.

    Attributes:
        metric: In [0, 1].
        log_loss: Mean loss on labels, in nats; the squared error of a regression.
        gap: Mean Kullback-Leibler divergence of the student's slice from it, in nats; the squared difference of a
            regression.
    """

    metric: float | None
    log_loss: float | None = None
    gap: float | None = None


@dataclass(frozen=True)
class Criterion:
    """A rule with its weights.

    Attributes:
        rule: `lambda` is metric + lambda * (1 - scale) (MiniDisc, arXiv 2205.14570, section 3). `log_loss` is the
            lowest loss on labels: students learn from probabilities, of which it is a proper score (Menon et al.,
            ICML 2021). `gap` is the lowest loss and divergence of the student's slice together.
        lam: Of `lambda`, at least 0.
        gap_weight: Of the divergence in `gap`, at least 0.
    """

    rule: Rule = "lambda"
    lam: float = 0.2
    gap_weight: float = 1.0

    def value(self, scale: float, scores: Scores) -> float | None:
        """What a candidate is worth, larger is better; None where it cannot be told."""
        if self.rule == "lambda":
            check_lambda(self.lam)
            metric = scores.metric
            return None if metric is None or _unknown(metric) else tradeoff(metric, scale, self.lam)
        if not 0 <= self.gap_weight < math.inf:
            raise ConfigError(f"the gap weight is {self.gap_weight!r}, not a finite number >= 0")
        if _unknown(scores.log_loss):
            return None
        loss = float(scores.log_loss or 0.0)
        if self.rule == "log_loss":
            return -loss
        return None if _unknown(scores.gap) else -(loss + self.gap_weight * float(scores.gap or 0.0))

    def choose(self, scores: Mapping[float, Scores], target: float, count: int = 1) -> tuple[float, ...]:
        """The candidates that are worth most, from the largest scale to the smallest; a tie goes to the smallest.

        Args:
            scores: By scale, each strictly between the target and 1; 1 is the teacher, where it takes part.
            target: The student's scale.
            count: How many.

        Raises:
            ConfigError: a scale, a weight or the count is out of its range.
            MetricError: fewer than `count` can be valued, or a metric is outside [0, 1].
        """
        if smaller := [scale for scale in scores if scale != TEACHER]:
            check_candidates(smaller, target)
        check_count(count)
        values = {scale: self.value(scale, found) for scale, found in scores.items()}
        known = {scale: value for scale, value in values.items() if value is not None}
        if len(known) < count:
            what = {"lambda": "metric", "log_loss": "log-loss", "gap": "log-loss and divergence"}[self.rule]
            raise MetricError(
                f"{count} candidates wanted, {len(known)} have a finite {what} ({self._listed(scores)}); lower the "
                "learning rate or give more candidates"
            )
        return largest(known, count)

    def _listed(self, scores: Mapping[float, Scores]) -> str:
        """What was measured of each candidate, the largest first."""
        measured = {scale: found.metric if self.rule == "lambda" else found.log_loss for scale, found in scores.items()}
        return ", ".join(
            f"{scale:g}: {math.nan if measured[scale] is None else measured[scale]:g}"
            for scale in sorted(scores, reverse=True)
        )

    def words(self, metric: str) -> str:
        """The rule as a sentence has it."""
        if self.rule == "lambda":
            return f"largest {metric} + {self.lam:g} * (1 - scale)"
        if self.rule == "log_loss":
            return "lowest log-loss"
        return f"lowest log-loss + {self.gap_weight:g} * divergence of the student's slice"


def choose(metrics: Mapping[float, float], lam: float, target: float, count: int = 1) -> tuple[float, ...]:
    """Choose the teacher assistants: the candidates with the largest lambda-tradeoff.

    Tradeoffs within 1e-12 of the largest tie with it, and a tie goes to the smallest scale, the cheapest
    assistant. A candidate whose metric is NaN or infinite is never chosen.

    Args:
        metrics: candidate scale -> its metric in [0, 1]; the order does not matter.
        lam: lambda, finite and >= 0.
        target: the student's scale; every candidate is strictly between it and 1.
        count: how many assistants, >= 1.

    Returns:
        `count` keys of `metrics` from largest to smallest: teacher -> larger -> smaller -> student.

    Raises:
        ConfigError: a scale that `check_candidates` refuses, or lambda or count out of range.
        MetricError: a finite metric outside [0, 1], or fewer finite metrics than `count`.
    """
    scales = check_candidates(list(metrics), target)
    return Criterion(lam=lam).choose({scale: Scores(metrics[scale]) for scale in scales}, target, count)


def _unknown(value: object) -> bool:
    """Whether it is no finite number; what is no number at all is left for others to refuse."""
    return value is None or (isinstance(value, Real) and not math.isfinite(value))
