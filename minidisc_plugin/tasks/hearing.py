"""What tasks on sounds have in common: they stay in their files, and become numbers batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.input_shape import InputShape
from minidisc_plugin.contracts.inputs import SECONDS
from minidisc_plugin.contracts.task import Task
from minidisc_plugin.tasks.frames import least_samples
from minidisc_plugin.tasks.sounds import INPUTS, LENGTH, SOUND, SoundCollator, check_sounds, sounds_of

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from minidisc_plugin.contracts.dataset import DatasetConfig

logger = logging.getLogger(__name__)

# Seconds: of a window, the last of which may reach beyond the end.
_CLOSE = 0.05


class Hearing(Task):
    """A task whose examples are sounds, all made one length: that of the longest in the data.

    A feature has the name of the input that the collator makes of it, so that loops which leave out what a model does
    not take leave it in.

    Args:
        layers: Kernel and stride of each convolution that the model reads samples with.
    """

    def __init__(self, layers: tuple[tuple[int, int], ...] = ()) -> None:
        self.layers = layers
        self.longest = 0.0
        self._told = False

    def sounds(self, split: Dataset, where: str, columns: DatasetConfig) -> Dataset:
        """The sounds of a split, with LENGTH beside them; the longest of all splits decides what each is padded to.

        Raises:
            DataError: the column is missing or holds no sounds, or a sound cannot be read.
        """
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
        self.longest = max(self.longest, min(kept, max(lengths)))
        return sounds

    def heard(self, examples: Dataset, collate: SoundCollator) -> Dataset:
        """The sounds under the name of the input that they become; no more are read than the shortest and the longest.

        Raises:
            ConfigError: the feature extractor cannot read them.
            DataError: one is too short for the model.
        """
        check_sounds(examples, collate, least_samples(self.layers) / collate.rate)
        self._say_what_is_held(collate, max(examples[LENGTH]))
        return examples.rename_columns({SOUND: collate.name}).remove_columns([LENGTH])

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

    def shape_of(self, batch: Mapping[str, Tensor]) -> InputShape:
        """See Task."""
        name = next(name for name in INPUTS if name in batch)
        return InputShape(audio_size=tuple(batch[name].shape[1:]))

    def numbers(self, features: Dataset, processor: Any) -> Dataset:
        """See Task."""
        import numpy as np

        collate = self.collator(processor)
        assert isinstance(collate, SoundCollator)

        def read(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = collate([{collate.name: sound} for sound in batch[collate.name]])
            return {name: np.asarray(value) for name, value in found.items()}

        others = [name for name in features.column_names if name != collate.name]
        return features.map(read, batched=True, batch_size=16, remove_columns=others, features=None, desc="reading")
