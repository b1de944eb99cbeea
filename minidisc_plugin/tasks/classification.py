"""A label for each example, whatever examples are made of; regression where the model has a single label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.tasks.classes import Classes
from minidisc_plugin.tasks.columns import require_column
from minidisc_plugin.tasks.counting import count_pairs, flat_values
from minidisc_plugin.tasks.labels import declared_names, is_regression, label_ids, perfect_predictions

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

LABELS = "minidisc labels"
"""Column of checked examples that holds what a model takes as `labels`."""


class Classification(Task):
    """Labels are class indices, names of the model's config, or numbers; every example counts."""

    metric_example = "accuracy"
    hosted = True

    def regression(self, config: PretrainedConfig) -> bool:
        """See Task."""
        return is_regression(config)

    def with_labels(
        self, examples: Dataset, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig
    ) -> Dataset:
        """Checked inputs with the labels of their split beside them.

        Raises:
            DataError: the column is not there, or a label is missing or none of the model's.
        """
        require_column(split, where, "label", columns.label)
        names = declared_names(split.features[columns.label])
        place = f"column {columns.label!r} of split {where!r}"
        return examples.add_column(LABELS, self.read_labels(list(split[columns.label]), config, place, names))

    def with_placeholders(self, examples: Dataset, config: PretrainedConfig) -> Dataset:
        """Checked inputs with labels that nobody reads."""
        return examples.add_column(LABELS, [self.placeholder(config)] * len(examples))

    def placeholder(self, config: PretrainedConfig) -> Any:
        """A label that a model takes, for examples without one."""
        return 0.0 if is_regression(config) else 0

    def read_labels(
        self, labels: list[Any], config: PretrainedConfig, where: str, names: Sequence[str] | None
    ) -> list[Any]:
        """Labels of a column as the model takes them.

        Args:
            labels: Of the column.
            config: The model's.
            where: The column and split, for messages.
            names: What the data set calls its classes, where labels are its own indices.

        Raises:
            DataError: a label is missing, or is none of the model's.
        """
        if any(isinstance(label, list) for label in labels):
            raise DataError(
                f"dataset.label: {where} holds lists, and the model gives each example one label; give one, or set "
                "problem_type: multi_label_classification in the model's config.json if it was trained with several"
            )
        return label_ids(labels, config, where, names)

    def sole_label(self, features: Dataset, config: PretrainedConfig) -> str | None:
        """See Task."""
        found = set() if is_regression(config) else set(flat_values(features, "labels").tolist())
        return repr(Classes(config).names[int(found.pop())]) if len(found) == 1 else None

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task."""
        from minidisc_plugin.metrics import build_compute_metrics

        return build_compute_metrics(metric.name, is_regression(config), metric.options)

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        return perfect_predictions(config)

    def perfect_predictions_of(self, features: Dataset, config: PretrainedConfig) -> EvalPrediction | None:
        """See Task."""
        return perfect_predictions(config, features["labels"])

    def confusion(self, prediction: EvalPrediction, config: PretrainedConfig) -> NDArray[Any] | None:
        """See Task."""
        import numpy as np

        if is_regression(config):
            return None
        logits, labels = (
            np.asarray(part[0] if isinstance(part, tuple) else part)
            for part in (prediction.predictions, prediction.label_ids)
        )
        return count_pairs(labels, logits.argmax(-1), logits.shape[-1])
