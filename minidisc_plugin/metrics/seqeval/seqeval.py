"""Entity-level F1 for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from minidisc_plugin.foundation.errors import MetricError


def entities(tags: Any) -> set[tuple[str, int, int]]:
    """The entities in a sequence of IOB2 tags, as (type, first, last); I- after another type begins one."""
    found: set[tuple[str, int, int]] = set()
    kind: str | None = None
    first = 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if prefix not in ("B", "I", "O") or (prefix == "O") != (tag == "O"):
            raise MetricError(
                f"metric seqeval: label {tag!r} is not of the kind B-PER, I-PER, O; "
                "name the labels so in id2label of the model's config.json, or choose metric: accuracy"
            )
        if kind is not None and (prefix != "I" or name != kind):
            found.add((kind, first, place - 1))
            kind = None
        if kind is None and prefix != "O":
            kind, first = name, place
    return found


class Seqeval(evaluate.Metric):  # type: ignore[misc]
    """Precision, recall and F1 of whole entities; keys as the public module `seqeval`, without one per type."""

    def _info(self) -> Any:
        tags = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="F1 of entities: an entity is right where type, start and end are.",
            citation="",
            inputs_description="predictions, references: lists of IOB2 tags.",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        """Give precision, recall, F1 and the accuracy of tags, in [0, 1]; 0 where nothing can be counted."""
        right = found = wanted = same = tags = 0
        for mine, theirs in zip(predictions, references, strict=True):
            predicted, labelled = entities(mine), entities(theirs)
            right, found, wanted = right + len(predicted & labelled), found + len(predicted), wanted + len(labelled)
            same, tags = same + sum(a == b for a, b in zip(mine, theirs, strict=True)), tags + len(theirs)
        return {
            "overall_precision": right / found if found else 0.0,
            "overall_recall": right / wanted if wanted else 0.0,
            "overall_f1": 2 * right / (found + wanted) if found + wanted else 0.0,
            "overall_accuracy": same / tags if tags else 0.0,
        }
