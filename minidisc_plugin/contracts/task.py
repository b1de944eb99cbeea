"""What a task is: how a dataset becomes features, how a model is scored, and which of its outputs count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from minidisc_plugin.contracts.input_shape import InputShape
from minidisc_plugin.foundation.errors import ConfigError, DataError

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import EvalPrediction, PretrainedConfig, PreTrainedModel

    from minidisc_plugin.contracts.config import MetricConfig
    from minidisc_plugin.contracts.dataset import DatasetConfig

IGNORED = -100
"""The label of what does not count, as everywhere in transformers."""


@dataclass(frozen=True)
class Outputs:
    """A model's output, reduced to what an objective compares.

    Attributes:
        logits: (terms, classes), one row per term that counts.
        hidden_states: (batch, tokens, width) each; of an encoder-decoder model None.
        encoder_hidden_states: Of an encoder-decoder model.
        decoder_hidden_states: Of an encoder-decoder model.
        attentions: (batch, heads, tokens, tokens) weights each, where the objective compares them.
    """

    logits: Tensor
    hidden_states: Sequence[Tensor] | None = None
    encoder_hidden_states: Sequence[Tensor] | None = None
    decoder_hidden_states: Sequence[Tensor] | None = None
    attentions: Sequence[Tensor] | None = None

    @classmethod
    def of(cls, output: Any, logits: Tensor) -> Self:
        """What there is in a model's output, with other logits."""
        return cls(logits, **{field.name: getattr(output, field.name, None) for field in fields(cls)[1:]})


class Task(ABC):
    """One task of Optimum's; an object belongs to one run, as it may keep what the metric needs of its examples.

    Attributes:
        name: What the key `task` may hold.
        auto_class: The Auto class of transformers that loads its models.
        runtime_classes: Its class in "openvino" and "onnx"; empty where the student is not exported.
        reader: What makes a model's inputs of examples: "tokenizer", "image processor", "feature extractor", or
            "processor", which has one of texts beside.
        text_columns: What `dataset.text` lists, one name per column; of other inputs than texts empty.
        sequences: Columns whose lists are as long as an example is; empty where all examples are of one size.
        label_names: Labels in a batch, in the order in which a metric is given them.
        own_labels: Those that a model does not take.
        options: What its models are told in training and evaluation.
        metric_example: A metric that fits.
        hosted: Whether Neural Compressor's losses can distil it.
        pads_with_end: Whether a tokenizer without a padding token may pad with the end of the text.
        judged_as: What `judged_by` counts, for messages.
        whole_columns: Those of lists that are of one length in every example, and never padded.
        follows_teacher: Whether `labels` of evaluated splits are the teacher's predictions.
        columns_differ: Whether each split may have columns of its own.
        begins_with: Tokens, at most, that a written text begins with: of the decoder's positions, and none of the
            text.
        writes: Whether its models write texts, which `generation.metrics` may compare with the targets.
        chooses: Whether an example is several texts, one of which is chosen: inputs are (batch, choices, tokens).
        labels_train: Whether examples have labels that an objective may compare a student with.
    """

    name: ClassVar[str]
    auto_class: ClassVar[str]
    runtime_classes: ClassVar[Mapping[str, str]] = {}
    reader: ClassVar[str] = "tokenizer"
    text_columns: ClassVar[tuple[str, ...]] = ()
    sequences: ClassVar[tuple[str, ...]] = ("input_ids",)
    label_names: ClassVar[tuple[str, ...]] = ("labels",)
    own_labels: ClassVar[frozenset[str]] = frozenset()
    options: ClassVar[Mapping[str, Any]] = {}
    metric_example: ClassVar[str]
    hosted: ClassVar[bool] = False
    pads_with_end: ClassVar[bool] = False
    judged_as: ClassVar[str] = "example"
    whole_columns: ClassVar[frozenset[str]] = frozenset()
    follows_teacher: ClassVar[bool] = False
    columns_differ: ClassVar[bool] = False
    begins_with: ClassVar[int] = 1
    writes: ClassVar[bool] = False
    chooses: ClassVar[bool] = False
    labels_train: ClassVar[bool] = True

    @property
    def said(self) -> str:
        """The task, as messages name it."""
        return f"task {self.name}"

    @abstractmethod
    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """The split with checked columns only, not yet tokenised.

        Raises:
            DataError: a column is missing, or holds what the model cannot learn.
        """

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """As `check` gives it, of a split whose label is not read: what `features` needs of one is a placeholder.

        Raises:
            ConfigError: the task makes a model's inputs of labels.
            DataError: a text column is missing, or holds what is no text.
        """
        raise ConfigError(
            f"dataset.unlabelled_split: {where!r} has no labels that are read, and {self.said} makes a model's inputs "
            "of them; leave the split out, and set distillation.augment for more examples"
        )

    def altered(self, examples: Dataset, alter: Callable[[Any], Any]) -> Dataset:
        """Copies of checked examples with other texts; labels that fit nothing any more are placeholders.

        Args:
            examples: As `check` gives them.
            alter: Makes another text of a text, and another list of words of such a list.

        Raises:
            ConfigError: the task is not one on texts.
        """
        raise ConfigError(f"distillation.augment: it alters texts, and {self.said} reads none; remove it")

    @abstractmethod
    def features(self, examples: Dataset, processor: Any, max_length: int) -> Dataset:
        """Features of checked examples: what the model takes, and the columns of `label_names`.

        Args:
            examples: As `check` gives them.
            processor: The tokenizer, or what else reads inputs.
            max_length: Tokens kept of a text.
        """

    def numbers(self, features: Dataset, processor: Any) -> Dataset:
        """Features as hosts read them that know no collator of ours: numbers only."""
        return features

    @abstractmethod
    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """As `Trainer` takes it, for predictions that went through `reduce`.

        Raises:
            MetricError: the metric cannot be loaded, or does not fit the task.
        """

    @abstractmethod
    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """A few predictions that hit every label, to try a metric on."""

    def perfect_predictions_of(self, features: Dataset, config: PretrainedConfig) -> EvalPrediction | None:
        """Predictions that hit the label of each of these features; None where features do not tell."""
        return None

    def by_chance(self, prediction: EvalPrediction, config: PretrainedConfig, chance: Generator) -> EvalPrediction:
        """The same predictions beside the labels of other examples, drawn by `chance`."""
        import numpy as np
        from transformers import EvalPrediction

        labels = prediction.label_ids
        labels = np.asarray(labels[0] if isinstance(labels, tuple) else labels)
        return EvalPrediction(prediction.predictions, chance.permutation(labels))

    def redrawn(self, prediction: EvalPrediction, rows: NDArray[Any]) -> EvalPrediction | None:
        """Predictions and labels of these rows, some of them more than once; None where rows are no examples."""
        from transformers import EvalPrediction

        def taken(part: Any) -> Any:
            return tuple(taken(one) for one in part) if isinstance(part, tuple) else part[rows]

        return EvalPrediction(taken(prediction.predictions), taken(prediction.label_ids))

    def confusion(self, prediction: EvalPrediction, config: PretrainedConfig) -> NDArray[Any] | None:
        """(labels, predictions) how often a class was predicted where another is the label; None without classes."""
        return None

    def equip(self, teacher: PreTrainedModel, model: str) -> Mapping[str, str]:
        """Give a teacher that was just loaded what the task needs of it, in place.

        Args:
            teacher: The model.
            model: Where it was loaded from: a folder or a Hub name.

        Returns:
            What files of it belong beside whatever is made of it, by their path in its folder.

        Raises:
            ConfigError: it cannot do the task, or such a file is broken.
        """
        return {}

    def collator(self, processor: Any) -> Callable[[list[Any]], Any] | None:
        """Makes a batch of features; None is `Trainer`'s own."""
        return None

    def tokenizer_options(self, config: PretrainedConfig) -> dict[str, Any]:
        """What the tokenizer is loaded with."""
        return {}

    def regression(self, config: PretrainedConfig) -> bool:
        """Whether a model of this config predicts real numbers."""
        return False

    def shape_of(self, batch: Mapping[str, Tensor]) -> InputShape:
        """Of what size the examples of a batch are."""
        return InputShape(sequence_length=batch["input_ids"].shape[1])

    def count_examples(self, features: Dataset) -> int:
        """How many examples of the dataset these features are of."""
        return len(features)

    def judged_by_teacher(self, features: Dataset) -> bool:
        """Whether the metric of a split compares models with the teacher's predictions."""
        return False

    def judged_by(self, features: Dataset) -> int:
        """How many labels of a split its metric compares predictions with."""
        return len(features)

    def sole_label(self, features: Dataset, config: PretrainedConfig) -> str | None:
        """What all labels of a split are, for messages; None where they differ, or are no classes."""
        return None

    def logits(self, output: Any, inputs: Mapping[str, Any]) -> Any:
        """The predictions in a model's output for some inputs: a tensor, or a tuple of them."""
        return output["logits"]

    def reduce(self, logits: Any, labels: Any) -> Any:
        """`preprocess_logits_for_metrics`: what the metric needs of a batch."""
        return logits

    def inputs(self, batch: Mapping[str, Any], model: Any) -> dict[str, Any]:
        """What `model` takes of a batch, without labels."""
        return self.sources(batch)

    def sources(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Of a batch, what a model that writes is given, without a word of the target."""
        left = {*self.label_names, "labels", "length"}
        return {name: value for name, value in batch.items() if name not in left}

    def labelled(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What a model takes of a batch to compute its own loss."""
        return {name: value for name, value in batch.items() if name not in self.own_labels}

    def ranked_by(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What importance gives a model: units count by how much they move the model's own loss of it."""
        return self.labelled(batch)

    def terms(self, batch: Mapping[str, Tensor]) -> int:
        """Over how many terms a model's own loss is the mean.

        Raises:
            DataError: the batch has no labels.
        """
        return len(self.labels_of(batch))

    def labels_of(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The labels of a batch, the first where there are several.

        Raises:
            DataError: it has none.
        """
        labels = batch.get(self.label_names[0])
        if labels is None:
            raise DataError(f"importance needs labelled batches: add `{self.label_names[0]}` to every batch")
        return labels

    def compared(
        self, student: Any, teacher: Any, batch: Mapping[str, Tensor]
    ) -> tuple[Any, Any, Mapping[str, Tensor]]:
        """Both outputs and the batch as an objective compares them: padding and ignored labels are gone.

        Logits become (terms, classes) and `labels` (terms,). A batch may gain `decoder_attention_mask`, of the
        decoder's hidden states, and `logits_mask` (terms, classes), of logits that stand for nothing.
        """
        return student, teacher, batch
