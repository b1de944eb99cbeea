"""Spearman correlation for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

import warnings
from typing import Any

import datasets
import evaluate
import scipy.stats


class Spearmanr(evaluate.Metric):  # type: ignore[misc]
    """Rank correlation of predicted and labelled values; keys as the public module `spearmanr`."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("float"), "references": datasets.Value("float")}
        return evaluate.MetricInfo(
            description="Rank correlation coefficient.",
            citation="",
            inputs_description="predictions, references: numbers; return_pvalue adds spearmanr_pvalue.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any, return_pvalue: bool = False) -> dict[str, float]:
        """Give `{"spearmanr": value in [-1, 1]}`; NaN, without a warning, for constant or too few rows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the NaN says it: constant input
            value, p_value = scipy.stats.spearmanr(references, predictions)
        extra = {"spearmanr_pvalue": float(p_value)} if return_pvalue else {}
        return {"spearmanr": float(value), **extra}
