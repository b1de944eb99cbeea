"""Accuracy as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy


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
        found, wanted = numpy.asarray(predictions), numpy.asarray(references)
        if found.shape != wanted.shape:
            raise ValueError(f"predictions of shape {found.shape} do not fit references of shape {wanted.shape}")
        right = (found == wanted).reshape(len(found), -1).all(axis=1)
        weights = numpy.ones(len(right)) if sample_weight is None else numpy.asarray(sample_weight)
        return {"accuracy": float(right @ weights / (weights.sum() if normalize else 1.0))}
