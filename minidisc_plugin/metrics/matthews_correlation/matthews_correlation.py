"""Matthews correlation for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

import warnings
from typing import Any

import datasets
import evaluate
from sklearn.metrics import matthews_corrcoef


class MatthewsCorrelation(evaluate.Metric):  # type: ignore[misc]
    """Correlation of predicted and labelled classes; keys as the public module `matthews_correlation`."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(
            description="Correlation of two class assignments, 0 for chance.",
            citation="",
            inputs_description="predictions, references: class ids, two classes or more; sample_weight.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any, sample_weight: Any = None) -> dict[str, float]:
        """Give `{"matthews_correlation": value in [-1, 1]}`; 0 where either side holds one class only."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the 0 says it: a single class
            value = matthews_corrcoef(references, predictions, sample_weight=sample_weight)
        return {"matthews_correlation": float(value)}
