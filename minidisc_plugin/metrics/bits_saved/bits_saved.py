"""Perplexity as a share, for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

import math
from typing import Any

import datasets
import evaluate

_LARGEST = 700.0  # e to more than that is no float


class BitsSaved(evaluate.Metric):  # type: ignore[misc]
    """max(0, 1 - ln(perplexity) / ln(vocabulary)): the share of a uniform guess's bits that a model saves."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("float"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(
            description="Share of the bits of a uniform guess that a language model saves.",
            citation="",
            inputs_description="predictions: ln p of each label; references: the labels; vocabulary: its size.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any, vocabulary: int) -> dict[str, float]:
        """Give `{"bits_saved": share in [0, 1], "perplexity": at least 1}`."""
        loss = -sum(predictions) / len(predictions)
        share = min(1.0, max(0.0, 1 - loss / math.log(vocabulary)))
        return {"bits_saved": share, "perplexity": math.exp(min(max(loss, 0.0), _LARGEST))}
