"""Multiple choice: which of several texts goes on a text best, or answers it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.input_shape import InputShape
from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError, DataError, MetricError
from minidisc_plugin.foundation.printable import shortened
from minidisc_plugin.tasks.choices import Choices, choices_of
from minidisc_plugin.tasks.columns import require_column, require_text, with_columns
from minidisc_plugin.tasks.counting import count_pairs, flat_values
from minidisc_plugin.tasks.right_choices import RightChoices

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

logger = logging.getLogger(__name__)

_RIGHT = "right"
"""Column of checked examples: the place of the right choice."""
# A column of features for the time of making them.
_ALIKE = "choices alike"
_SHOWN = 80


class MultipleChoice(Task):
    """Each choice is read beside its context and gets a logit; a model's inputs are (batch, choices, tokens)."""

    name = "multiple-choice"
    auto_class = "AutoModelForMultipleChoice"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForCustomTasks",
        "onnx": "ORTModelForMultipleChoice",
    }
    text_columns = ("the context",)
    metric_example = "accuracy"
    chooses = True

    def __init__(self) -> None:
        self._right = RightChoices()
        self._counted: tuple[int, str] | None = None

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        choices = self._choices(split, where, columns)
        return _examples(split, columns, choices).add_column(
            _RIGHT, self._right.of(split, where, columns.label, choices)
        )

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return _examples(split, columns, self._choices(split, where, columns)).add_column(_RIGHT, [0] * len(split))

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task."""
        alone = [name for name in examples.column_names if name not in (_RIGHT, "choices")]
        choices = [[alter(text) for text in texts] for texts in examples["choices"]]
        return with_columns(
            examples, {**{name: list(map(alter, examples[name])) for name in alone}, "choices": choices}
        )

    def features(self, examples: Dataset, processor: Any, max_length: int) -> Dataset:
        """See Task; a question goes before each choice, and the context is the other text of the pair."""

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            count = len(batch["choices"][0])
            contexts = [context for context in batch["context"] for _ in range(count)]
            endings = [text for texts in batch["choices"] for text in texts]
            if "question" in batch:
                questions = [question for question in batch["question"] for _ in range(count)]
                endings = [f"{question} {text}".strip() for question, text in zip(questions, endings, strict=True)]
            found = processor(contexts, endings, truncation=True, max_length=max_length)
            nested = {
                name: [values[start : start + count] for start in range(0, len(values), count)]
                for name, values in found.items()
            }
            alike = [_alike(*row) for row in zip(batch["choices"], nested["input_ids"], strict=True)]
            return {**nested, "labels": batch[_RIGHT], _ALIKE: alike}

        found = examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")
        alike = flat_values(found, _ALIKE)
        if alike.any():
            example = shortened(repr(examples[int(alike.argmax())]["choices"]), _SHOWN)
            said = f"of {alike.sum()} of {len(alike)} examples two choices become the same tokens, such as {example}"
            remedy = f"raise max_length ({max_length}), where they are cut"
            if alike.all():
                raise DataError(f"dataset.choices: {said}; {remedy}")
            logger.warning("dataset.choices: %s; %s", said, remedy)
        return found.remove_columns(_ALIKE)

    def numbers(self, features: Dataset, processor: Any) -> Dataset:
        """See Task; choices of an example become as long as its longest."""
        collate = ChoiceCollator(processor)

        def padded(row: dict[str, Any]) -> dict[str, Any]:
            return {name: value[0].tolist() for name, value in collate([row]).items()}

        return features.map(padded, desc="padding")

    def collator(self, processor: Any) -> Callable[[list[Any]], Any]:
        """See Task."""
        return ChoiceCollator(processor)

    def shape_of(self, batch: Mapping[str, Tensor]) -> InputShape:
        """See Task."""
        _, choices, tokens = batch["input_ids"].shape
        return InputShape(sequence_length=tokens, choices=choices)

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task."""
        from minidisc_plugin.metrics import build_compute_metrics, result_key, shipped_metrics

        if result_key(metric.name) in {*shipped_metrics()} - {self.metric_example}:
            raise MetricError(
                f"metric {metric.name} compares classes or numbers, and places of choices are neither; "
                f"{self.name} takes {self.metric_example}"
            )
        return build_compute_metrics(metric.name, regression=False, options=metric.options)

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        return _perfect(2 if self._counted is None else self._counted[0])

    def perfect_predictions_of(self, features: Dataset, config: PretrainedConfig) -> EvalPrediction | None:
        """See Task."""
        return _perfect(len(features[0]["input_ids"]), features["labels"])

    def confusion(self, prediction: EvalPrediction, config: PretrainedConfig) -> NDArray[Any] | None:
        """See Task; of places."""
        import numpy as np

        logits = np.asarray(prediction.predictions)
        return count_pairs(np.asarray(prediction.label_ids), logits.argmax(-1), logits.shape[-1])

    def sole_label(self, features: Dataset, config: PretrainedConfig) -> str | None:
        """See Task."""
        found = set(flat_values(features, "labels").tolist())
        return f"{found.pop()} (from 0)" if len(found) == 1 else None

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """See Task; hidden states are of texts, (batch * choices, tokens, width), and so is their mask."""
        mask = batch.get("attention_mask")
        return student, teacher, batch if mask is None else {**batch, "attention_mask": mask.flatten(0, 1)}

    def _choices(self, split: Dataset, where: str, columns: DatasetConfig) -> list[Choices]:
        """Those of a split's examples, as many of each as in the splits before it."""
        _check_texts(split, where, columns)
        found = choices_of(split, where, columns.choices or [])
        count = len(found[0].texts)
        self._counted = self._counted or (count, where)
        if count != self._counted[0]:
            raise DataError(
                f"dataset.choices: examples of split {where!r} have {count} choices, and those of split "
                f"{self._counted[1]!r} have {self._counted[0]}; give as many in all splits"
            )
        return found


def _alike(texts: list[str], tokens: list[list[int]]) -> int:
    """1 where two texts that differ have the same tokens; else 0."""
    return int(len(set(map(tuple, tokens))) < len(set(texts)))


class ChoiceCollator:
    """Pads all texts of a batch to the longest, as the tokenizer does.

    Args:
        tokenizer: Pads.
    """

    def __init__(self, tokenizer: Any) -> None:
        from transformers import DataCollatorWithPadding

        self._names = frozenset(tokenizer.model_input_names)
        self._pad = DataCollatorWithPadding(tokenizer)

    def __call__(self, rows: list[Any]) -> dict[str, Tensor]:
        """Tensors (rows, choices, longest) of the tokenizer's columns, (rows,) of others."""
        import torch

        names = [name for name in rows[0] if name in self._names]
        count = len(rows[0]["input_ids"])
        texts = [{name: row[name][place] for name in names} for row in rows for place in range(count)]
        batch = {name: value.view(len(rows), count, -1) for name, value in self._pad(texts).items()}
        others = {name: torch.tensor([row[name] for row in rows]) for name in rows[0] if name not in self._names}
        return {**batch, **others}


def _check_texts(split: Dataset, where: str, columns: DatasetConfig) -> None:
    """Refuse other texts than a context, or a context and a question."""
    if len(columns.text) > 2:
        raise ConfigError(
            f"dataset.text: {columns.text} does not fit task {MultipleChoice.name}; list the column of the context, or "
            "those of the context and of what goes before each choice, and the choices in dataset.choices"
        )
    for column in columns.text:
        require_column(split, where, "text", column)
        require_text(split, where, column)


def _examples(split: Dataset, columns: DatasetConfig, choices: list[Choices]) -> Dataset:
    from datasets import Dataset

    texts = {name: list(split[column]) for name, column in zip(("context", "question"), columns.text, strict=False)}
    return Dataset.from_dict({**texts, "choices": [each.texts for each in choices]})


def _perfect(count: int, right: Any = None) -> EvalPrediction:
    """Predictions that choose what is right; each choice once, where nothing is given."""
    import numpy as np
    from transformers import EvalPrediction

    labels = np.arange(count) if right is None else np.asarray(right)
    return EvalPrediction(np.eye(count)[labels], labels)
