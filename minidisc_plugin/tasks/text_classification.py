"""Classification of a sentence or a pair; regression where the model has a single label."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minidisc_plugin.tasks.base import Task, require_column, require_text
from minidisc_plugin.tasks.labels import declared_names, is_regression, label_ids, perfect_predictions

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.config import DatasetConfig, MetricConfig

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
        for key, column in (*(("text", column) for column in columns.text), ("label", columns.label)):
            require_column(split, where, key, column)
        for column in columns.text:
            require_text(split, where, column)
        names = declared_names(split.features[columns.label])
        labels = label_ids(list(split[columns.label]), config, f"column {columns.label!r} of split {where!r}", names)
        return split.select_columns(columns.text).add_column(_LABELS, labels)

    def features(self, examples: Dataset, tokenizer: Any, max_length: int) -> Dataset:
        """See Task."""
        columns = [name for name in examples.column_names if name != _LABELS]

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            texts = [[text or "" for text in batch[column]] for column in columns]
            return {**tokenizer(*texts, truncation=True, max_length=max_length), "labels": batch[_LABELS]}

        return examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task."""
        from minidisc_plugin.metrics import build_compute_metrics

        return build_compute_metrics(metric.name, is_regression(config), metric.options)

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        return perfect_predictions(config)
