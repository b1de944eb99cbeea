"""The paired bootstrap: the selection split drawn anew many times, all candidates scored on the same examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 200


@dataclass(frozen=True)
class Examined:
    """What the selection split says of some scales, in their order.

    Attributes:
        metrics: As the metric reports them.
        losses: (examples, scales) on labels, in nats.
        gaps: (examples, scales) divergence of the student's slice, in nats; NaN without a student.
        drawn_metrics: (scales, draws) the metrics of drawn examples; None where rows of a split are no examples.
        drawn_losses: (scales, draws) mean loss of the same draws.
        drawn_gaps: (scales, draws) mean gap of the same draws.
    """

    metrics: list[float]
    losses: NDArray[Any]
    gaps: NDArray[Any]
    drawn_metrics: list[list[float]] | None
    drawn_losses: list[list[float]]
    drawn_gaps: list[list[float]]

    def by_scale(self) -> list[dict[str, Any]]:
        """What there is to keep of each scale: means over the split, and the draws."""
        once = np.arange(len(self.losses))[None]
        losses, gaps = (_means(values, once) for values in (self.losses, self.gaps))
        return [
            {
                "metric": metric,
                "log_loss": losses[place][0],
                "gap": gaps[place][0],
                "resampled": {
                    "metric": self.drawn_metrics[place] if self.drawn_metrics else [],
                    "log_loss": self.drawn_losses[place],
                    "gap": self.drawn_gaps[place],
                },
            }
            for place, metric in enumerate(self.metrics)
        ]


def _means(values: NDArray[Any], rows: NDArray[Any]) -> list[list[float]]:
    """(scales, draws) means of (examples, scales) values over (draws, examples) rows, those that are NaN left out."""
    known = ~np.isnan(values)
    found = []
    for column, is_known in zip(np.where(known, values, 0.0).astype(np.float64).T, known.T, strict=True):
        counts = is_known[rows].sum(1)
        means = np.where(counts, column[rows].sum(1) / np.maximum(counts, 1), np.nan)
        found.append([float(mean) for mean in means])
    return found


class Draws:
    """Rows of a split, drawn with replacement; the same for the same size and seed.

    Args:
        examples: Rows of the split.
        count: How often to draw as many rows.
        seed: Of the draw.
    """

    def __init__(self, examples: int, count: int, seed: int) -> None:
        self.rows = np.random.default_rng(seed).integers(examples, size=(count, examples))

    def means(self, values: NDArray[Any]) -> list[list[float]]:
        """(scales, draws) means of (examples, scales) values, those that are NaN left out."""
        return _means(values, self.rows)

    def metrics(self, compute: Callable[[NDArray[Any]], float | None]) -> list[float] | None:
        """(draws,) what `compute` makes of the rows of each draw; None where it makes nothing of them."""
        found = [compute(rows) for rows in self.rows]
        return None if any(value is None for value in found) else [float(value) for value in found if value is not None]
