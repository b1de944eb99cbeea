"""Classification of sounds: they stay in their files, and become numbers batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from minidisc_plugin.contracts.input_shape import InputShape
from minidisc_plugin.contracts.inputs import SECONDS
from minidisc_plugin.tasks.classification import LABELS, Classification
from minidisc_plugin.tasks.frames import convolutions, frame_mask, least_samples
from minidisc_plugin.tasks.sounds import INPUTS, LENGTH, MASK, SOUND, SoundCollator, check_sounds, sounds_of

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.dataset import DatasetConfig

logger = logging.getLogger(__name__)

# Seconds: of a window, the last of which may reach beyond the end.
_CLOSE = 0.05


class AudioClassification(Classification):
    """Examples are sounds, read by the teacher's own feature extractor.

    A feature has the name of the input that the collator makes of it, so that loops which leave out what a model does
    not take leave it in.

    Args:
        layers: Kernel and stride of each convolution that the model reads samples with.
    """

    name = "audio-classification"
    auto_class = "AutoModelForAudioClassification"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForAudioClassification",
        "onnx": "ORTModelForAudioClassification",
    }
    reader = "feature extractor"
    sequences = ()

    def __init__(self, layers: tuple[tuple[int, int], ...] = ()) -> None:
        self.layers = layers
        self._longest = 0.0
        self._told = False

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """The task as a model of this config does it."""
        return cls(convolutions(config))

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_labels(self._sounds(split, where, columns), split, where, columns, config)

    def unlabelled(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        return self.with_placeholders(self._sounds(split, where, columns), config)

    def _sounds(self, split: Dataset, where: str, columns: DatasetConfig) -> Dataset:
        """The sounds of a split; the longest of all splits decides what each is padded to."""
        sounds, kept = sounds_of(split, where, columns), columns.max_seconds or SECONDS
        lengths = list(sounds[LENGTH])
        if cut := sum(length > kept for length in lengths):
            logger.warning(
                "dataset.max_seconds: %d of %d sounds of split %r are longer than %g seconds (one has %.4g), and cut",
                cut,
                len(lengths),
                where,
                kept,
                max(lengths),
            )
        self._longest = max(self._longest, min(kept, max(lengths)))
        return sounds

    def features(self, examples: Dataset, processor: Any, max_length: int) -> Dataset:
        """See Task; sounds are read batch by batch, and here no more than the shortest and the longest.

        Raises:
            ConfigError: the feature extractor cannot read them.
            DataError: one is too short for the model.
        """
        collate = self.collator(processor)
        check_sounds(examples, collate, least_samples(self.layers) / collate.rate)
        self._say_what_is_held(collate, max(examples[LENGTH]))
        renamed = examples.rename_columns({SOUND: collate.name, LABELS: "labels"})
        return renamed.remove_columns([LENGTH])

    def _say_what_is_held(self, collate: SoundCollator, longest: float) -> None:
        """Say so where the extractor hears less of a sound than there is and was asked for."""
        held = None if self._told else collate.held()
        if held is not None and min(longest, collate.seconds) > held + _CLOSE:
            self._told = True
            logger.warning(
                "tokenizer: %s keeps %.3g seconds of a sound, and the longest has %.3g: what is later is not heard",
                type(collate.extractor).__name__,
                held,
                longest,
            )

    def numbers(self, features: Dataset, processor: Any) -> Dataset:
        """See Task."""
        import numpy as np

        collate = self.collator(processor)

        def read(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = collate([{collate.name: sound} for sound in batch[collate.name]])
            return {name: np.asarray(value) for name, value in found.items()}

        others = [name for name in features.column_names if name != collate.name]
        return features.map(read, batched=True, batch_size=16, remove_columns=others, features=None, desc="reading")

    def collator(self, processor: Any) -> SoundCollator:
        """See Task."""
        return SoundCollator(processor, self._longest)

    def shape_of(self, batch: Mapping[str, Tensor]) -> InputShape:
        """See Task."""
        name = next(name for name in INPUTS if name in batch)
        return InputShape(audio_size=tuple(batch[name].shape[1:]))

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
