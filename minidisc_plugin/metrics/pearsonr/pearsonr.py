"""Pearson correlation for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

import math
import warnings
from typing import Any

import datasets
import evaluate
import scipy.stats


class Pearsonr(evaluate.Metric):  # type: ignore[misc]
    """Linear correlation of predicted and labelled values; keys as the public module `pearsonr`."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("float"), "references": datasets.Value("float")}
        return evaluate.MetricInfo(
            description="Linear correlation coefficient.",
            citation="",
            inputs_description="predictions, references: numbers; return_pvalue adds the key p-value.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any, return_pvalue: bool = False) -> dict[str, float]:
        """Give `{"pearsonr": value in [-1, 1]}`; NaN, without a warning, for constant or too few rows."""
        value, p_value = math.nan, math.nan
        if len(predictions) > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the NaN says it: constant input, overflow
                value, p_value = scipy.stats.pearsonr(references, predictions)
        extra = {"p-value": float(p_value)} if return_pvalue else {}
        return {"pearsonr": float(value), **extra}
