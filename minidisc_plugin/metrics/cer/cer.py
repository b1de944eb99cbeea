"""Character error rate as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import jiwer


class Cer(evaluate.Metric):  # type: ignore[misc]
    """Character error rate of all texts together, by `jiwer`; nothing is left out of a text, and nothing made alike."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description="Character error rate of a corpus.",
            citation="",
            inputs_description="predictions, references: texts.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        """Give `{"cer": ...}`: characters put in, left out or exchanged, for each of the references; 0 is best."""
        return {"cer": float(jiwer.cer(list(references), list(predictions)))}
