"""Accuracy as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy
from sklearn.metrics import accuracy_score


class Accuracy(evaluate.Metric):  # type: ignore[misc]
    """Share of rows whose predicted class, or set of labels, is the right one; keys as the public module `accuracy`."""

    def _info(self) -> Any:
        kind = datasets.Value("int32")
        if self.config_name == "multilabel":  # a 0 or 1 for each label
            kind = datasets.Sequence(kind)
        row = {"predictions": kind, "references": kind}
        return evaluate.MetricInfo(
            description="Share of predictions equal to the reference.",
            citation="",
            inputs_description="predictions, references: class ids; normalize, sample_weight.",
            features=datasets.Features(row),
        )

    def _compute(
        self, predictions: Any, references: Any, normalize: bool = True, sample_weight: Any = None
    ) -> dict[str, float]:
        """Give `{"accuracy": share in [0, 1]}`, or the number of right rows where `normalize` is false."""
        if self.config_name == "multilabel":
            predictions, references = numpy.asarray(predictions), numpy.asarray(references)
        value = accuracy_score(references, predictions, normalize=normalize, sample_weight=sample_weight)
        return {"accuracy": float(value)}
