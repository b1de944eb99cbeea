"""F1 as a module for `evaluate.load`, which reads imports line by line: one plain import a line."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy
from sklearn.metrics import f1_score

from minidisc_plugin.foundation.errors import MetricError


class F1(evaluate.Metric):  # type: ignore[misc]
    """Harmonic mean of precision and recall; keys and options as the public module `f1`."""

    def _info(self) -> Any:
        kind = datasets.Value("int32")
        if self.config_name == "multilabel":  # a 0 or 1 for each label
            kind = datasets.Sequence(kind)
        row = {"predictions": kind, "references": kind}
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
        if self.config_name == "multilabel":
            return self._of_sets(predictions, references, average, sample_weight)
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

    def _of_sets(self, predictions: Any, references: Any, average: str | None, sample_weight: Any) -> dict[str, Any]:
        """The same of rows that hold a 0 or 1 for each label."""
        if average == "binary":
            raise MetricError(
                "metric f1: average 'binary' is of one class, and rows hold several labels; write metric: {name: f1, "
                "options: {average: micro}}, or macro, weighted, samples"
            )
        found, wanted = numpy.asarray(predictions), numpy.asarray(references)
        if wanted.shape[1] == 1:  # a single column is taken for two classes
            average = "binary"
        value = f1_score(wanted, found, average=average, sample_weight=sample_weight, zero_division=0.0)
        return {"f1": value if average is None else float(value)}
