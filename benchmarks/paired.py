"""Two ways to a student compared on the same examples and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000

# By task and seed, for each test example in order, whether a student is right.
Outcomes = Mapping[tuple[str, int], NDArray[np.bool_]]


@dataclass(frozen=True)
class Difference:
    """A mean difference of accuracy in points, with its interval.

    Attributes:
        mean: Over tasks, of the means over seeds.
        low: Of the interval that holds 95% of the resamples.
        high: Likewise.
        pairs: Of runs.
    """

    mean: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def difference(mine: Outcomes, theirs: Outcomes) -> Difference | None:
    """How much better `mine` is than `theirs` where both have a task and seed; None where there is no such pair.

    Intervals come from the bootstrap: of each task the seeds, and the examples of its test split, are drawn anew with
    replacement, both sides and all seeds sharing what is drawn, because they share the examples.
    """
    pairs = sorted(mine.keys() & theirs.keys())
    tasks = {task: np.stack([_gain(mine, theirs, pair) for pair in pairs if pair[0] == task]) for task, _ in pairs}
    if not tasks:
        return None
    draw = np.random.default_rng(0)
    means = np.zeros(RESAMPLES)
    for gains in tasks.values():
        seeds = draw.integers(len(gains), size=(RESAMPLES, len(gains)))
        examples = draw.integers(gains.shape[1], size=(RESAMPLES, gains.shape[1]))
        means += [gains[np.ix_(rows, columns)].mean() for rows, columns in zip(seeds, examples, strict=True)]
    low, high = np.percentile(100 * means / len(tasks), [2.5, 97.5])
    mean = 100 * float(np.mean([gains.mean() for gains in tasks.values()]))
    return Difference(mean, float(low), float(high), len(pairs))


def _gain(mine: Outcomes, theirs: Outcomes, pair: tuple[str, int]) -> NDArray[np.float64]:
    return mine[pair].astype(np.float64) - theirs[pair].astype(np.float64)
