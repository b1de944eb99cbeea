"""SQuAD's exact match and F1 for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Any

import datasets
import evaluate


def plain(text: str) -> list[str]:
    """Words in lower case, without punctuation and articles."""
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def overlap(prediction: str, answer: str) -> float:
    """F1 of the words of both, in [0, 1]."""
    found, wanted = plain(prediction), plain(answer)
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted)) if shared else 0.0


class Squad(evaluate.Metric):  # type: ignore[misc]
    """Exact match and F1 in percent, the best over the answers of a question; keys as the public module `squad`."""

    def _info(self) -> Any:
        answers = datasets.Sequence({"text": datasets.Value("string"), "answer_start": datasets.Value("int32")})
        row = {
            "predictions": {"id": datasets.Value("string"), "prediction_text": datasets.Value("string")},
            "references": {"id": datasets.Value("string"), "answers": answers},
        }
        return evaluate.MetricInfo(
            description="Exact match and F1 of answers.",
            citation="",
            inputs_description="predictions: id and prediction_text; references: id and answers.",
            features=datasets.Features(row),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        """Give `{"exact_match": ..., "f1": ...}`, in [0, 100]."""
        texts = {row["id"]: row["prediction_text"] for row in predictions}
        exact = total = 0.0
        for row in references:
            text, answers = texts.get(row["id"], ""), row["answers"]["text"]
            exact += max(float(plain(text) == plain(answer)) for answer in answers)
            total += max(overlap(text, answer) for answer in answers)
        count = max(1, len(references))
        return {"exact_match": 100 * exact / count, "f1": 100 * total / count}
