"""Word error rate as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import jiwer


class Wer(evaluate.Metric):  # type: ignore[misc]
    """Word error rate of all texts together, by `jiwer`; nothing is left out of a text, and nothing made alike."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description="Word error rate of a corpus.",
            citation="",
            inputs_description="predictions, references: texts.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        """Give `{"wer": ...}`: words put in, left out or exchanged, for each of the references; 0 is best."""
        return {"wer": float(jiwer.wer(list(references), list(predictions)))}
