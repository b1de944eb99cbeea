"""Classification of words: named entities, parts of speech."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import IGNORED, Outputs, Task
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import shortened
from minidisc_plugin.tasks.classes import Classes
from minidisc_plugin.tasks.collator import PaddingCollator
from minidisc_plugin.tasks.columns import require_column, text_of
from minidisc_plugin.tasks.counting import count_pairs, flat_values, shuffled_where
from minidisc_plugin.tasks.labels import declared_names, label_ids

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

logger = logging.getLogger(__name__)

# A column of features for the time of making them.
_LOST = "words without a token"
_SHOWN = 80


class TokenClassification(Task):
    """The first word piece of a word bears its label; other pieces, special tokens and padding do not count."""

    name = "token-classification"
    auto_class = "AutoModelForTokenClassification"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForTokenClassification",
        "onnx": "ORTModelForTokenClassification",
    }
    text_columns = ("the column of word lists",)
    metric_example = "seqeval"
    judged_as = "labelled word that becomes a token"

    def tokenizer_options(self, config: PretrainedConfig) -> dict[str, Any]:
        """Tokenizers that see a space as part of a word must put one before the first."""
        return {"add_prefix_space": True} if config.model_type in ("gpt2", "roberta", "deberta", "bart") else {}

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        (text,) = text_of(split, where, self, columns)
        require_column(split, where, "label", columns.label)
        words, tags = list(split[text]), list(split[columns.label])
        for row, (mine, theirs) in enumerate(zip(words, tags, strict=True)):
            lists = isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs)
            if not lists or not all(isinstance(word, str) for word in mine):
                raise DataError(
                    f"dataset.label: row {row} (from 0) of split {where!r} needs a list of words in {text!r} and as "
                    f"many labels in {columns.label!r}; correct it, or leave the row out"
                )
        found = label_ids(
            [tag for mine in tags for tag in mine],
            config,
            f"column {columns.label!r} of split {where!r}",
            declared_names(split.features[columns.label]),
            rows=[row for row, mine in enumerate(tags) for _ in mine],
        )
        flat = iter(found)
        ids = [[int(next(flat)) for _ in mine] for mine in tags]
        from datasets import Dataset

        return Dataset.from_dict({"words": words, "tags": ids})

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task; every word has a placeholder, so that first pieces count and all else does not."""
        (text,) = text_of(split, where, self, columns)
        words = list(split[text])
        for row, mine in enumerate(words):
            if not isinstance(mine, list) or not all(isinstance(word, str) for word in mine):
                raise DataError(
                    f"dataset.text: row {row} (from 0) of split {where!r} needs a list of words in {text!r}; correct "
                    "it, or leave the row out"
                )
        return _with_placeholders(words)

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task; a copy may have fewer words, and so fewer labels."""
        return _with_placeholders(list(map(alter, examples["words"])))

    def features(self, examples: Dataset, tokenizer: Any, max_length: int) -> Dataset:
        """See Task."""
        if not getattr(tokenizer, "is_fast", False):
            raise DataError(f"tokenizer: {type(tokenizer).__name__} cannot tell words apart; give a fast tokenizer")

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = tokenizer(batch["words"], is_split_into_words=True, truncation=True, max_length=max_length)
            labels = [word_labels(found.word_ids(row), tags) for row, tags in enumerate(batch["tags"])]
            kept = [_words_with_tokens(encoding) for encoding in found.encodings]
            lost = [len(tags) - count for tags, count in zip(batch["tags"], kept, strict=True)]
            return {**found, "labels": labels, _LOST: lost}

        found = examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")
        lost = int(flat_values(found, _LOST).sum())
        if lost:
            row = int(flat_values(found, _LOST).argmax())
            logger.warning(
                "dataset.text: %d of %d words become no token, so that their labels count nowhere; such as in %s",
                *(lost, sum(map(len, examples["tags"])), shortened(repr(examples[row]["words"]), _SHOWN)),
            )
        return found.remove_columns(_LOST)

    def judged_by(self, features: Dataset) -> int:
        """See Task."""
        return int((flat_values(features, "labels") != IGNORED).sum())

    def sole_label(self, features: Dataset, config: PretrainedConfig) -> str | None:
        """See Task."""
        found = set(flat_values(features, "labels").tolist()) - {IGNORED}
        return repr(Classes(config).names[found.pop()]) if len(found) == 1 else None

    def collator(self, tokenizer: Any) -> Callable[[list[Any]], Any]:
        """See Task."""
        return PaddingCollator(tokenizer, {"labels": IGNORED})

    def reduce(self, logits: Any, labels: Any) -> Any:
        """(batch, tokens) classes; -1 where a logit is NaN, which argmax would turn into a class."""
        logits = logits[0] if isinstance(logits, tuple) else logits
        return logits.argmax(-1).masked_fill(logits.isnan().any(-1), -1)

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task."""
        from minidisc_plugin.metrics import LoadedMetric

        loaded = LoadedMetric(metric.name, metric.options)
        names = Classes(config).names

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            import numpy as np

            found, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
            counted = labels != IGNORED
            if (found[counted] < 0).any():
                return {loaded.key: float("nan")}
            if not loaded.takes_sequences:
                return loaded(found[counted], labels[counted])
            rows = list(zip(found, labels, counted, strict=True))
            return loaded(
                [[names[index] for index in row[mask]] for row, _, mask in rows],
                [[names[index] for index in row[mask]] for _, row, mask in rows],
            )

        return compute

    def by_chance(self, prediction: EvalPrediction, config: PretrainedConfig, chance: Generator) -> EvalPrediction:
        """See Task; labels of other words."""
        import numpy as np
        from transformers import EvalPrediction

        labels = np.asarray(prediction.label_ids)
        return EvalPrediction(prediction.predictions, shuffled_where(labels != IGNORED, labels, chance))

    def confusion(self, prediction: EvalPrediction, config: PretrainedConfig) -> NDArray[Any] | None:
        """See Task."""
        import numpy as np

        found, labels = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        counted = (labels != IGNORED) & (found >= 0)
        return count_pairs(labels[counted], found[counted], int(config.num_labels))

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        import numpy as np
        from transformers import EvalPrediction

        labels = np.arange(config.num_labels)[None]
        return EvalPrediction(labels, labels)

    def terms(self, batch: Mapping[str, Tensor]) -> int:
        """See Task."""
        return int((self.labels_of(batch) != IGNORED).sum())

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """See Task."""
        counted = batch["labels"] != IGNORED
        views = [Outputs.of(output, output.logits[counted]) for output in (student, teacher)]
        return views[0], views[1], {**batch, "labels": batch["labels"][counted]}


def _with_placeholders(words: list[list[str]]) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict({"words": words, "tags": [[0] * len(mine) for mine in words]})


def word_labels(words: Sequence[int | None], tags: Sequence[int]) -> list[int]:
    """One label per token: that of its word on the first piece, -100 elsewhere.

    Args:
        words: Per token, the word that it is a piece of; None for special tokens.
        tags: Per word, its label.
    """
    labels, before = [], None
    for word in words:
        labels.append(IGNORED if word is None or word == before else tags[word])
        before = word
    return labels


def _words_with_tokens(encoding: Any) -> int:
    """Words of an example that a tokenizer makes tokens of, those that it cut off included."""
    parts = [encoding, *encoding.overflowing]
    return len({word for part in parts for word in part.word_ids if word is not None})
