"""F1 as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sklearn.metrics import f1_score

from minidisc_plugin.errors import MetricError


class F1(evaluate.Metric):  # type: ignore[misc]
    """Harmonic mean of precision and recall; keys and options as the public module `f1`."""

    def _info(self) -> Any:
        row = {"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(
            description="Harmonic mean of precision and recall.",
            citation="",
            inputs_description="predictions, references: class ids; average, pos_label, labels.",
            features=datasets.Features(row),
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        labels: Any = None,
        pos_label: int = 1,
        average: str | None = "binary",
        sample_weight: Any = None,
    ) -> dict[str, Any]:
        """Give `{"f1": share in [0, 1]}`; 0 where no row is positive, an array where `average` is None.

        Raises:
            MetricError: `average` is binary and the rows hold classes that two-class F1 cannot tell apart.
        """
        classes = sorted(set(predictions) | set(references))
        if average == "binary" and (len(classes) > 2 or (len(classes) == 2 and pos_label not in classes)):
            raise MetricError(
                f"metric f1: classes {classes} with average 'binary' and positive class {pos_label}; for "
                "more classes write metric: {name: f1, options: {average: macro}}"
            )
        value = f1_score(
            references,
            predictions,
            labels=labels,
            pos_label=pos_label,
            average=average,
            sample_weight=sample_weight,
            zero_division=0.0,
        )
        return {"f1": value if average is None else float(value)}
