"""Sentence embeddings: texts without labels to train on, pairs with scores to judge by, or else the teacher.

A term is a text. What an objective compares are embeddings of a length at which the mean squared error of two is twice
1 - cosine, whatever their width.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from minidisc_plugin.contracts.task import Outputs, Task
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.foundation.model_files.sentence_files import read_sentence_files
from minidisc_plugin.tasks.columns import require_column, require_text, with_columns
from minidisc_plugin.tasks.embedding_head import add_head
from minidisc_plugin.tasks.labels import real_numbers
from minidisc_plugin.tasks.pooling import KEY, Pooling, Reading

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import EvalPrediction, PretrainedConfig, PreTrainedModel

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

logger = logging.getLogger(__name__)

_TEXTS, _PAIRS = "texts", "pairs"
_UNSCORED = (math.nan, math.nan)  # number and score of the pair of a text that belongs to none
_DIRECTIONS = 64


class FeatureExtraction(Task):
    """Embeddings of texts, pooled as the teacher's sentence-transformers files say.

    Evaluated texts have `labels`, the teacher's embeddings, and `pairs`: the number of the pair that a text belongs to,
    and that pair's score; NaN where there are none.

    Args:
        pooling: How embeddings are made.
        reading: How texts are read.
    """

    name = "feature-extraction"
    auto_class = "AutoModel"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForFeatureExtraction",
        "onnx": "ORTModelForFeatureExtraction",
    }
    text_columns = ("a column of texts", "or two of pairs")
    label_names = ("labels", _PAIRS)
    own_labels = frozenset({_PAIRS})
    metric_example = "spearmanr"
    judged_as = "three texts that differ, nor two scored pairs"
    pads_with_end = True
    whole_columns = frozenset({"labels", _PAIRS})
    follows_teacher = True
    columns_differ = True
    labels_train = False

    def __init__(self, pooling: Pooling | None = None, reading: Reading | None = None) -> None:
        self.pooling = pooling or Pooling()
        self.reading = reading or Reading()

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """The task as a model of this config does it."""
        return cls(Pooling.of(config), Reading.of(config))

    def regression(self, config: PretrainedConfig) -> bool:
        """See Task; embeddings are compared number by number."""
        return True

    def equip(self, teacher: PreTrainedModel, model: str) -> Mapping[str, str]:
        """See Task; the config says how embeddings are made, so that copies know. Files of sentence-transformers."""
        where = f"model: {model!r}"
        if teacher.config.is_encoder_decoder:
            raise ConfigError(f"{where} is an encoder-decoder, and {self.said} takes one stack of layers; give another")
        files = read_sentence_files(model, where)
        if files.texts or getattr(teacher.config, KEY, None) is None:
            said = {"prompt": files.prompt, "lower_case": files.lower_case, "max_tokens": files.max_tokens}
            setattr(teacher.config, KEY, {**Pooling(files.pooling, files.normalize).plain(), **said})
        add_head(teacher, Pooling.of(teacher.config))
        return files.texts

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task; a split that has the label's column holds scored pairs."""
        texts = self._texts(split, where, columns)
        if columns.label not in split.column_names:
            return _examples([[text] for row in zip(*texts, strict=True) for text in row])
        if len(texts) != 2:
            raise ConfigError(
                f"dataset.text: split {where!r} has the scores {columns.label!r} and {len(texts)} of the columns "
                f"{columns.text}; a score is of a pair: list the two columns that it compares"
            )
        place = f"column {columns.label!r} of split {where!r}"
        scores = real_numbers(list(split[columns.label]), place)
        if len(set(scores)) == 1:
            raise DataError(
                f"dataset.label: every pair of split {where!r} is scored {scores[0]:g}, so no order of pairs is right "
                "or wrong; give scores that differ, or leave the column out to compare students with the teacher"
            )
        return _examples(
            list(map(list, zip(*texts, strict=True))), [[float(row), score] for row, score in enumerate(scores)]
        )

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        texts = self._texts(split, where, columns)
        return _examples([[text] for row in zip(*texts, strict=True) for text in row])

    def _texts(self, split: Dataset, where: str, columns: DatasetConfig) -> list[list[str]]:
        """Of the columns that a config lists those that a split has; one at least."""
        if columns.domain is not None:
            raise ConfigError(f"dataset.domain: {columns.domain!r} is not for {self.said}; remove it")
        found = [column for column in columns.text if column in split.column_names]
        for column in found or columns.text[:1]:
            require_column(split, where, "text", column)
            require_text(split, where, column)
        return [list(split[column]) for column in found]

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task."""
        texts = [[alter(text) for text in each] for each in examples[_TEXTS]]
        return with_columns(examples, {_TEXTS: texts})

    def features(self, examples: Dataset, tokenizer: Any, max_length: int) -> Dataset:
        """See Task; `labels` come later, from the teacher."""
        most = min(max_length, self.reading.max_tokens or max_length)
        if most < max_length:
            logger.info(
                "max_length: the teacher's sentence_bert_config.json cuts texts at %d tokens, and so does this", most
            )

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            texts = [self.reading(text) for each in batch[_TEXTS] for text in each]
            pairs = [pair for pair, each in zip(batch[_PAIRS], batch[_TEXTS], strict=True) for _ in each]
            return {**tokenizer(texts, truncation=True, max_length=most), _PAIRS: pairs}

        return examples.map(tokenise, batched=True, remove_columns=[_TEXTS], desc="tokenising")

    def count_examples(self, features: Dataset) -> int:
        """See Task; pairs, where they are scored."""
        return len(features) if self.judged_by_teacher(features) else len(features) // 2

    def judged_by(self, features: Dataset) -> int:
        """See Task; pairs, of which a correlation needs several."""
        if not self.judged_by_teacher(features):
            return len(features) // 2 if len(features) > 2 else 0
        texts = {tuple(ids) for ids in features["input_ids"]}
        return math.comb(len(texts), 2) if len(texts) > 2 else 0

    def judged_by_teacher(self, features: Dataset) -> bool:
        """See Task; unless all its texts are of scored pairs."""
        import numpy as np

        return not np.isfinite(np.asarray(features[_PAIRS])).all()

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task; of cosine similarities with the scores of pairs, or with those of the teacher's embeddings."""
        from transformers import EvalPrediction

        from minidisc_plugin.metrics import build_compute_metrics
        from minidisc_plugin.tasks.similarity import similarities

        compared = build_compute_metrics(metric.name, True, metric.options)

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            found, wanted = similarities(prediction)
            return compared(EvalPrediction(found, wanted))

        return compute

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        import numpy as np
        from transformers import EvalPrediction

        embeddings = np.random.default_rng(0).standard_normal((8, 4))
        return EvalPrediction(embeddings, (embeddings, np.full((8, 2), np.nan)))

    def by_chance(self, prediction: EvalPrediction, config: PretrainedConfig, chance: Generator) -> EvalPrediction:
        """See Task."""
        from minidisc_plugin.tasks.similarity import by_chance

        return by_chance(prediction, chance)

    def redrawn(self, prediction: EvalPrediction, rows: NDArray[Any]) -> EvalPrediction | None:
        """See Task; of pairs whole ones."""
        from minidisc_plugin.tasks.similarity import redrawn

        return redrawn(prediction, rows)

    def logits(self, output: Any, inputs: Mapping[str, Any]) -> Any:
        """See Task; other runtimes give hidden states, as the bare encoder does."""
        import torch

        if "logits" in output:
            return output["logits"]
        states, mask = torch.as_tensor(output["last_hidden_state"]), inputs.get("attention_mask")
        return self.pooling(states, None if mask is None else torch.as_tensor(mask).to(states.device))

    def reduce(self, logits: Any, labels: Any) -> Any:
        """See Task."""
        return logits[0] if isinstance(logits, tuple) else logits

    def ranked_by(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """See Task; a fixed random direction for each text, as its teacher's own embedding moves no loss."""
        found = self.labelled(batch)
        if found.get("labels") is not None:
            labels, ids = found["labels"], found["input_ids"]
            drawn = _directions(labels.shape[-1]).to(labels)
            real = found.get("attention_mask")
            found["labels"] = drawn[(ids if real is None else ids * real).sum(1) % _DIRECTIONS]
        return found

    def terms(self, batch: Mapping[str, Tensor]) -> int:
        """See Task."""
        return len(batch["input_ids"])

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """See Task."""
        labels = {"labels": _long(batch["labels"])} if "labels" in batch else {}
        return (
            Outputs.of(student, _long(student.logits)),
            Outputs.of(teacher, _long(teacher.logits)),
            {**batch, **labels},
        )


def _examples(texts: Sequence[Sequence[str]], pairs: Sequence[Sequence[float]] | None = None) -> Dataset:
    """Examples of one text, or of the two of a pair, which so stay together."""
    from datasets import Dataset, Features, Value
    from datasets import Sequence as ListOf

    kinds = Features({_TEXTS: ListOf(Value("string")), _PAIRS: ListOf(Value("float32"))})
    return Dataset.from_dict({_TEXTS: list(texts), _PAIRS: pairs or [_UNSCORED] * len(texts)}, features=kinds)


def _long(embeddings: Tensor) -> Tensor:
    """(texts, width) embeddings of length sqrt(width)."""
    from torch.nn import functional

    return functional.normalize(embeddings, dim=-1) * math.sqrt(embeddings.shape[-1])


@cache
def _directions(width: int) -> Tensor:
    import torch

    return torch.randn(_DIRECTIONS, width, generator=torch.Generator().manual_seed(0))
