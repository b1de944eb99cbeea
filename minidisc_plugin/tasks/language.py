"""Language models: text generation, and text from text. A term is a token that a model is to predict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import IGNORED, Outputs, Task
from minidisc_plugin.foundation.decoders import DECODER_INPUTS
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.tasks.collator import PaddingCollator
from minidisc_plugin.tasks.columns import require_column, require_text, text_of, texts_alone, with_columns
from minidisc_plugin.tasks.counting import shuffled_where
from minidisc_plugin.tasks.targets import check_cut, tokens_of

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.random import Generator
    from torch import Tensor
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

logger = logging.getLogger(__name__)


class LanguageModelling(Task):
    """What both have in common: predictions are reduced to two numbers a token before they are gathered."""

    options = {"use_cache": False}  # noqa: RUF012
    metric_example = "bits_saved"
    pads_with_end = True
    _ahead = 0
    """By how many places a token's logits stand before its label."""

    def collator(self, tokenizer: Any) -> Callable[[list[Any]], Any]:
        """See Task."""
        return PaddingCollator(tokenizer, {"labels": IGNORED})

    def terms(self, batch: Mapping[str, Tensor]) -> int:
        """See Task."""
        return int((self.labels_of(batch)[:, self._ahead :] != IGNORED).sum())

    def reduce(self, logits: Any, labels: Any) -> Any:
        """(batch, tokens) token that is predicted, and log probability of the label, aligned with the labels."""
        import torch

        logits = logits[0] if isinstance(logits, tuple) else logits
        tokens = labels.shape[1] - self._ahead
        targets = labels[:, self._ahead :]
        found = torch.full_like(labels, IGNORED)
        likely = torch.full(labels.shape, float(IGNORED), device=labels.device)
        for row in range(len(labels)):  # never a second copy of (batch, tokens, vocabulary)
            scores = logits[row, :tokens].float()
            of_label = scores.gather(1, targets[row].clamp_min(0)[:, None])[:, 0]
            found[row, self._ahead :] = scores.argmax(-1)
            likely[row, self._ahead :] = of_label - scores.logsumexp(-1)
        return found, likely

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task."""
        from minidisc_plugin.metrics import LoadedMetric

        loaded = LoadedMetric(metric.name, metric.options)

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            import numpy as np

            found, likely = (np.asarray(part) for part in prediction.predictions)
            labels = np.asarray(prediction.label_ids)
            counted = labels != IGNORED
            counted[:, : self._ahead] = False
            if not np.isfinite(likely[counted]).all():
                return {loaded.key: float("nan")}
            if loaded.key == "bits_saved":
                return loaded(likely[counted], labels[counted], vocabulary=int(config.vocab_size))
            perplexity = float(np.exp(-likely[counted].astype(np.float64).mean()))
            return {"perplexity": perplexity, **loaded(found[counted], labels[counted])}

        return compute

    def by_chance(self, prediction: EvalPrediction, config: PretrainedConfig, chance: Generator) -> EvalPrediction:
        """See Task; labels of other tokens, each as likely as it is frequent among them, and none impossible."""
        import numpy as np
        from transformers import EvalPrediction

        found, labels = np.asarray(prediction.predictions[0]), np.asarray(prediction.label_ids)
        counted = labels != IGNORED
        counted[:, : self._ahead] = False
        times = np.bincount(labels[counted], minlength=config.vocab_size) + 1.0
        labels = shuffled_where(counted, labels, chance)
        likely = np.where(counted, np.log(times / times.sum())[np.where(counted, labels, 0)], IGNORED)
        return EvalPrediction((found, likely), labels)

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        import numpy as np
        from transformers import EvalPrediction

        labels = np.arange(4)[None]
        return EvalPrediction((labels, np.zeros(labels.shape)), labels)

    def _of_terms(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits[:, : labels.shape[1] - self._ahead][labels[:, self._ahead :] != IGNORED]


class TextGeneration(LanguageModelling):
    """Each token but the first is predicted from those before it; texts are truncated, not joined into blocks."""

    name = "text-generation"
    auto_class = "AutoModelForCausalLM"
    text_columns = ("the text",)
    _ahead = 1

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        (text,) = text_of(split, where, self, columns)
        require_text(split, where, text)
        return texts_alone(split, [text])

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task; the text is all that any split has."""
        return self.check(split, where, columns, config)

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task."""
        return with_columns(examples, {name: list(map(alter, examples[name])) for name in examples.column_names})

    def features(self, examples: Dataset, tokenizer: Any, max_length: int) -> Dataset:
        """See Task; texts of fewer than two tokens predict nothing and are left out."""
        (text,) = examples.column_names

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = dict(tokenizer(batch[text], truncation=True, max_length=max_length))
            kept = [row for row, ids in enumerate(found["input_ids"]) if len(ids) > 1]
            features = {name: [values[row] for row in kept] for name, values in found.items()}
            return {**features, "labels": features["input_ids"]}

        features = examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")
        if len(features) < len(examples):
            logger.info("%d texts of fewer than two tokens left out", len(examples) - len(features))
        if not len(features):
            raise DataError("dataset.text: a split has no text of at least two tokens; add some")
        return features

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """See Task."""
        labels = batch["labels"]
        views = [Outputs.of(output, self._of_terms(output.logits, labels)) for output in (student, teacher)]
        following = labels[:, 1:]
        return views[0], views[1], {**batch, "labels": following[following != IGNORED]}


class WritingTargets(LanguageModelling):
    """Each token of a target is predicted from a source and the target's tokens before it (teacher forcing)."""

    writes = True

    def targets(self, split: Dataset, where: str, columns: DatasetConfig) -> list[str]:
        """The targets of a split, some of which may be empty.

        Raises:
            DataError: the column is missing, a target is no text, or all are empty.
        """
        require_column(split, where, "label", columns.label)
        require_text(split, where, columns.label, "label")
        found = list(split[columns.label])
        if not any(target.strip() for target in found):
            raise DataError(
                f"dataset.label: column {columns.label!r} of split {where!r} holds empty targets only, and so nothing "
                "to learn or to judge a model by; give some, or another split"
            )
        return found

    def inputs(self, batch: Mapping[str, Any], model: Any) -> dict[str, Any]:
        """See Task; a decoder without labels is given its inputs."""
        found = super().inputs(batch, model)
        if DECODER_INPUTS not in found and batch.get("labels") is not None:
            found[DECODER_INPUTS] = _decoder_inputs(model, batch["labels"])
        return found

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """See Task."""
        labels = batch["labels"]
        mine, theirs = (Outputs.of(output, self._of_terms(output.logits, labels)) for output in (student, teacher))
        counted = labels != IGNORED
        return mine, theirs, {**batch, "labels": labels[counted], "decoder_attention_mask": counted}


class TextToText(WritingTargets):
    """The source is a text."""

    name = "text2text-generation"
    auto_class = "AutoModelForSeq2SeqLM"
    text_columns = ("the source",)
    sequences = ("input_ids", "labels")

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        (source,) = text_of(split, where, self, columns)
        require_text(split, where, source)
        from datasets import Dataset

        return Dataset.from_dict({"source": list(split[source]), "target": self.targets(split, where, columns)})

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """See Task; the target stays, for the decoder reads it and the teacher says what it makes of it."""
        return with_columns(examples, {"source": list(map(alter, examples["source"]))})

    def features(self, examples: Dataset, tokenizer: Any, max_length: int) -> Dataset:
        """See Task."""

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = tokenizer(batch["source"], truncation=True, max_length=max_length)
            return {**found, "labels": tokens_of(batch["target"], tokenizer, max_length)}

        features = examples.map(tokenise, batched=True, remove_columns=examples.column_names, desc="tokenising")
        check_cut(list(examples["target"]), list(features["labels"]), tokenizer, max_length)
        return features


def _decoder_inputs(model: Any, labels: Tensor) -> Tensor:
    """Targets one place later; M2M-100 and Blenderbot shift theirs as BART does, and have no method for it."""
    shift = getattr(model, "prepare_decoder_input_ids_from_labels", None)
    if shift is None:
        from transformers.models.bart.modeling_bart import shift_tokens_right

        shift = partial(
            shift_tokens_right,
            pad_token_id=model.config.pad_token_id,
            decoder_start_token_id=model.config.decoder_start_token_id,
        )
    found: Tensor = shift(labels)
    return found
