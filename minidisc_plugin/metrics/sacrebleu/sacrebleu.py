"""BLEU as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import sacrebleu.metrics.bleu


class Sacrebleu(evaluate.Metric):  # type: ignore[misc]
    """BLEU of all texts together by `sacrebleu`, whose own tokens make it the same everywhere."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description="BLEU of a corpus.",
            citation="",
            inputs_description="predictions, references: texts; tokenize, lowercase.",
            features=datasets.Features(row),
        )

    def _compute(
        self, predictions: Any, references: Any, tokenize: str | None = None, lowercase: bool = False
    ) -> dict[str, float]:
        """Give `{"sacrebleu": ...}`, in [0, 100]; each text has one reference."""
        metric = sacrebleu.metrics.bleu.BLEU(tokenize=tokenize, lowercase=lowercase)
        return {"sacrebleu": float(metric.corpus_score(list(predictions), [list(references)]).score)}
