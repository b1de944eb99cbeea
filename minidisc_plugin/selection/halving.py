"""The rule of successive halving: which candidates are worth no more training (after Jamieson and Talwalkar, 2016)."""

from __future__ import annotations

import math
from collections.abc import Mapping

# However long a training is, candidates are evaluated only so often on the way.
RUNGS = 3


def rungs(epochs: int) -> list[int]:
    """Epochs after which candidates are compared: all but the last, or RUNGS of them, evenly spaced."""
    count = min(RUNGS, epochs - 1)
    return [round(epochs * (place + 1) / (count + 1)) for place in range(count)]


def losing(tradeoffs: Mapping[float, float], examples: int, keep: int = 1) -> list[float]:
    """Scales to drop: of the worse half, those behind the best by more than 1 / sqrt(examples).

    A mean of values in [0, 1] over n independent examples has a standard error of at most 1 / (2 sqrt(n)), so the
    margin is twice the largest there is.

    Args:
        tradeoffs: By scale, of the candidates that are left.
        examples: On how many each metric was measured.
        keep: How many have to be left.
    """
    ordered = sorted(tradeoffs, key=lambda scale: tradeoffs[scale])
    worse = ordered[: min(len(ordered) // 2, len(ordered) - keep)]
    best = tradeoffs[ordered[-1]]
    return [scale for scale in worse if best - tradeoffs[scale] > 1 / math.sqrt(examples)]
