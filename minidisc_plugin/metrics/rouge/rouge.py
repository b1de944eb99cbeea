"""ROUGE as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy
import rouge_score.rouge_scorer
import rouge_score.tokenizers

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class Rouge(evaluate.Metric):  # type: ignore[misc]
    """Overlap of words, pairs of words and common sequences, F1 by `rouge_score`; keys as the public module `rouge`."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description="Overlap of a text with its reference.",
            citation="",
            inputs_description="predictions, references: texts; use_stemmer.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any, use_stemmer: bool = False) -> dict[str, float]:
        """Give the mean over all texts of each kind, in [0, 1]."""
        tokenizer = rouge_score.tokenizers.DefaultTokenizer(use_stemmer)  # one that is not given is logged each time
        scorer = rouge_score.rouge_scorer.RougeScorer(KINDS, tokenizer=tokenizer)
        rows = [scorer.score(wanted, found) for found, wanted in zip(predictions, references, strict=True)]
        return {kind: float(numpy.mean([row[kind].fmeasure for row in rows])) for kind in KINDS}
