"""Which scales a step of the sandwich trains, and with which weight: the mean loss of all scales, in expectation."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

Sampling = Literal["all", "sandwich", "cost_aware"]


@dataclass(frozen=True)
class Drawn:
    """One scale of a step.

    Attributes:
        scale: In (0, 1].
        weight: Of its loss; 1 / (number of scales * probability of being drawn).
    """

    scale: float
    weight: float


class ScaleSampler:
    """Draws the scales of each step.

    The draw depends on seed and step alone, so processes agree and a resumed run repeats it.

    Args:
        scales: All scales of the network.
        sampling: "all" trains every scale in every step, as published. "sandwich" trains the largest, the smallest and
            `count` others at random. "cost_aware" trains the smallest, and of all others `count`, a scale s with a
            probability in proportion to 1 / sqrt(s): what costs less is drawn more often.
        count: How many at random, at least 1.
        seed: Of the draw.
    """

    def __init__(self, scales: Sequence[float], sampling: Sampling = "all", count: int = 1, seed: int = 0) -> None:
        self.scales = sorted(scales)
        self.sampling = sampling
        self.count = count
        self.seed = seed

    def probabilities(self) -> dict[float, float]:
        """How probable it is that a step trains a scale, by scale in ascending order."""
        if self.sampling == "all":
            return dict.fromkeys(self.scales, 1.0)
        always = {self.scales[0], self.scales[-1]} if self.sampling == "sandwich" else {self.scales[0]}
        pool = [scale for scale in self.scales if scale not in always]
        wanted = {scale: 1.0 if self.sampling == "sandwich" else scale**-0.5 for scale in pool}
        found = dict.fromkeys(always, 1.0) | _inclusion(wanted, self.count)
        return {scale: found[scale] for scale in self.scales}

    def draw(self, step: int) -> list[Drawn]:
        """Scales of a step, ascending; the weights' expectation is 1 / (number of scales) each."""
        probabilities = self.probabilities()
        drawn = [scale for scale in self.scales if probabilities[scale] >= 1]
        pool = [scale for scale in self.scales if probabilities[scale] < 1]
        chance = random.Random(self.seed * 1_000_003 + step)
        chance.shuffle(pool)
        # Systematic sampling: points one apart on a line where each scale is as long as it is probable.
        place, passed = chance.random(), 0.0
        for scale in pool:
            passed += probabilities[scale]
            if passed > place:
                drawn.append(scale)
                place += 1
        return [Drawn(scale, 1 / (len(self.scales) * probabilities[scale])) for scale in sorted(drawn)]

    def drop(self, scales: Collection[float]) -> None:
        """Train these scales no longer."""
        self.scales = [scale for scale in self.scales if scale not in scales]


def _inclusion(wanted: dict[float, float], count: int) -> dict[float, float]:
    """Probabilities in proportion to `wanted`, none above 1, that sum to `count` (to all, where there are fewer)."""
    certain: dict[float, float] = {}
    rest = dict(wanted)
    while rest:
        left, total = count - len(certain), sum(rest.values())
        above = {scale: 1.0 for scale, value in rest.items() if left * value / total >= 1 - 1e-12}
        if not above:
            return certain | {scale: left * value / total for scale, value in rest.items()}
        certain |= above
        rest = {scale: value for scale, value in rest.items() if scale not in above}
    return certain
