"""Classification of what may have several labels, or none: a yes or no for each label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.task import Outputs
from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.tasks.audio_classification import AudioClassification
from minidisc_plugin.tasks.classes import Classes
from minidisc_plugin.tasks.classification import Classification
from minidisc_plugin.tasks.image_classification import ImageClassification
from minidisc_plugin.tasks.label_sets import label_vectors
from minidisc_plugin.tasks.text_classification import TextClassification

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import MetricConfig

PROBLEM = "multi_label_classification"
"""The `problem_type` of such a model's config."""

# As `evaluate` calls the variant of a metric that compares lists of labels.
_CONFIGURATION = "multilabel"


class _SeveralLabels(Classification):
    """Classification by a teacher whose config says `problem_type: multi_label_classification`.

    A label is a class of its own, present where its logit is above 0. Objectives are given one term for each example
    and label, with the two logits 0 and z: their softmax at a temperature T is the sigmoid of z / T, so that soft
    cross entropy is binary cross entropy against the teacher's probabilities.
    """

    metric_example = "f1"
    hosted = False
    whole_columns = frozenset({"labels"})

    @property
    def said(self) -> str:
        """See Task."""
        return f"{super().said} with several labels an example ({PROBLEM})"

    def regression(self, config: PretrainedConfig) -> bool:
        """See Task."""
        return False

    def read_labels(
        self, labels: list[Any], config: PretrainedConfig, where: str, names: Sequence[str] | None
    ) -> list[Any]:
        """See Classification."""
        return label_vectors(labels, config, where, names)

    def placeholder(self, config: PretrainedConfig) -> Any:
        """See Classification."""
        return [0.0] * int(config.num_labels)

    def sole_label(self, features: Dataset, config: PretrainedConfig) -> str | None:
        """See Task; all the lists may be one, such as that of no label."""
        found = {tuple(vector) for vector in features["labels"]}
        if len(found) > 1:
            return None
        return repr([name for name, value in zip(Classes(config).names, found.pop(), strict=True) if value])

    def compute_metrics(
        self, metric: MetricConfig, config: PretrainedConfig
    ) -> Callable[[EvalPrediction], dict[str, float]]:
        """See Task; `f1` averages over all labels of all examples unless its options say otherwise."""
        from minidisc_plugin.metrics import LoadedMetric

        options = {"average": "micro", **metric.options} if metric.name == "f1" else metric.options
        loaded = LoadedMetric(metric.name, options, _CONFIGURATION)
        if not loaded.takes_sequences:
            raise MetricError(
                f"metric {metric.name} compares one value an example, and the model gives several; use f1"
            )

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            import numpy as np

            logits, labels = np.asarray(self.reduce(prediction.predictions, None)), np.asarray(prediction.label_ids)
            if np.isnan(logits).any():
                return {loaded.key: float("nan")}
            return loaded((logits > 0).astype(int), labels.astype(int))

        return compute

    def reduce(self, logits: Any, labels: Any) -> Any:
        """See Task; encoder-decoders give more than logits."""
        return logits[0] if isinstance(logits, tuple) else logits

    def confusion(self, prediction: EvalPrediction, config: PretrainedConfig) -> NDArray[Any]:
        """See Task; each label of an example is counted beside each that was given to it."""
        import numpy as np

        logits, labels = np.asarray(self.reduce(prediction.predictions, None)), np.asarray(prediction.label_ids)
        counts: NDArray[Any] = labels.astype(int).T @ (logits > 0).astype(int)
        return counts

    def perfect_predictions(self, config: PretrainedConfig) -> EvalPrediction:
        """See Task."""
        import numpy as np
        from transformers import EvalPrediction

        labels = np.eye(config.num_labels)
        return EvalPrediction(2 * labels - 1, labels)

    def perfect_predictions_of(self, features: Dataset, config: PretrainedConfig) -> EvalPrediction | None:
        """See Task."""
        import numpy as np
        from transformers import EvalPrediction

        labels = np.asarray(features["labels"])
        return EvalPrediction(2 * labels - 1, labels)

    def terms(self, batch: Mapping[str, Tensor]) -> int:
        """See Task."""
        return self.labels_of(batch).numel()

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """See Task."""
        labels = {"labels": batch["labels"].flatten().long()} if "labels" in batch else {}
        student, teacher, batch = super().compared(student, teacher, batch)
        return _each_label(student), _each_label(teacher), {**batch, **labels}


class MultiLabelClassification(_SeveralLabels, TextClassification):
    """The task text-classification with several labels a text."""


class MultiLabelImages(_SeveralLabels, ImageClassification):
    """The task image-classification with several labels an image."""


class MultiLabelSounds(_SeveralLabels, AudioClassification):
    """The task audio-classification with several labels a sound."""


def _each_label(output: Any) -> Outputs:
    """An output with the logits 0 and z of every example and label, (examples * labels, 2)."""
    import torch

    logits = output.logits.flatten()
    return Outputs.of(output, torch.stack([torch.zeros_like(logits), logits], dim=-1))
