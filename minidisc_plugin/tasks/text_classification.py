"""Classification of a sentence or a pair; regression where the model has a single label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.tasks.classes import Classes
from minidisc_plugin.tasks.columns import require_column, require_text, texts_alone, with_columns
from minidisc_plugin.tasks.counting import count_pairs, flat_values
from minidisc_plugin.tasks.labels import declared_names, is_regression, label_ids, perfect_predictions

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

_LABELS = "minidisc labels"


class TextClassification(Task):
    """Labels are class indices, names of the model's config, or numbers; every example counts."""

    name = "text-classification"
    auto_class = "AutoModelForSequenceClassification"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForSequenceClassification",
        "onnx": "ORTModelForSequenceClassification",
    }
    text_columns = ("the sentence",)
    metric_example = "accuracy"
    hosted = True

    def regression(self, config: PretrainedConfig) -> bool:
        """See Task."""
        return is_regression(config)

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        texts = _texts_of(split, where, columns)
        require_column(split, where, "label", columns.label)
        names = declared_names(split.features[columns.label])
        place = f"column {columns.label!r} of split {where!r}"
        labels = self.read_labels(list(split[columns.label]), config, place, names)
        return texts.add_column(_LABELS, labels)

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        texts = _texts_of(split, where, columns)
        return texts.add_column(_LABELS, [self.placeholder(config)] * len(texts))

    def placeholder(self, config: PretrainedConfig) -> Any:
        """A label that a model takes, for examples without one."""
        return 0.0 if is_regression(config) else 0

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task."""
        texts = [name for name in examples.column_names if name != _LABELS]
        return with_columns(examples, {name: list(map(alter, examples[name])) for name in texts})

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

    def features(self, examples: Dataset, tokenizer: Any, max_length: int) -> Dataset:
        """See Task."""
        columns = [name for name in examples.column_names if name != _LABELS]

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            texts = [batch[column] for column in columns]
            return {**tokenizer(*texts, truncation=True, max_length=max_length), "labels": batch[_LABELS]}

        return examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")

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


def _texts_of(split: Dataset, where: str, columns: DatasetConfig) -> Dataset:
    """The text columns of a split, checked."""
    if len(columns.text) > 2:
        raise ConfigError(
            f"dataset.text: {columns.text} does not fit task {TextClassification.name}; list the column of the "
            "sentence, or the two of a pair"
        )
    for column in columns.text:
        require_column(split, where, "text", column)
    for column in columns.text:
        require_text(split, where, column)
    return texts_alone(split, columns.text)
