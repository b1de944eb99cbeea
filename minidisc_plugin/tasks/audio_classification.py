"""Classification of sounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from minidisc_plugin.tasks.classification import LABELS, Classification
from minidisc_plugin.tasks.frames import convolutions, frame_mask
from minidisc_plugin.tasks.hearing import Hearing
from minidisc_plugin.tasks.sounds import MASK, SoundCollator

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.dataset import DatasetConfig


class AudioClassification(Hearing, Classification):
    """Examples are sounds, read by the teacher's own feature extractor."""

    name = "audio-classification"
    auto_class = "AutoModelForAudioClassification"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForAudioClassification",
        "onnx": "ORTModelForAudioClassification",
    }
    reader = "feature extractor"
    sequences = ()

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """The task as a model of this config does it."""
        return cls(convolutions(config))

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_labels(self.sounds(split, where, columns), split, where, columns, config)

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_placeholders(self.sounds(split, where, columns), config)

    def features(self, examples: Dataset, processor: Any, max_length: int) -> Dataset:
        """See Task; sounds are read batch by batch, and here no more than the shortest and the longest.

        Raises:
            ConfigError: the feature extractor cannot read them.
            DataError: one is too short for the model.
        """
        return self.heard(examples, self.collator(processor)).rename_column(LABELS, "labels")

    def collator(self, processor: Any) -> SoundCollator:
        """See Task."""
        return SoundCollator(processor, self.longest)

    def compared(
        self, student: Any, teacher: Any, batch: Mapping[str, Tensor]
    ) -> tuple[Any, Any, Mapping[str, Tensor]]:
        """See Task; hidden states have fewer frames than a sound has samples."""
        states = getattr(student, "hidden_states", None)
        if MASK not in batch or not states:
            return student, teacher, batch
        others = {name: value for name, value in batch.items() if name != MASK}
        mask = frame_mask(batch[MASK], states[0].shape[1], self.layers)
        return student, teacher, others if mask is None else {**others, MASK: mask}
