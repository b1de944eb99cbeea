"""Classification of a sentence or a pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.tasks.classification import LABELS, Classification
from minidisc_plugin.tasks.columns import require_column, require_text, texts_alone, with_columns

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.dataset import DatasetConfig


class TextClassification(Classification):
    """Examples are one text, or the two of a pair."""

    name = "text-classification"
    auto_class = "AutoModelForSequenceClassification"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForSequenceClassification",
        "onnx": "ORTModelForSequenceClassification",
    }
    text_columns = ("the sentence",)

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_labels(_texts_of(split, where, columns), split, where, columns, config)

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_placeholders(_texts_of(split, where, columns), config)

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task."""
        texts = [name for name in examples.column_names if name != LABELS]
        return with_columns(examples, {name: list(map(alter, examples[name])) for name in texts})

    def features(self, examples: Dataset, processor: Any, max_length: int) -> Dataset:
        """See Task."""
        columns = [name for name in examples.column_names if name != LABELS]

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            texts = [batch[column] for column in columns]
            return {**processor(*texts, truncation=True, max_length=max_length), "labels": batch[LABELS]}

        return examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")


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
