"""Sounds of a data set: checked once, and turned into a model's inputs batch by batch."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.inputs import SOUNDS
from minidisc_plugin.foundation.errors import ConfigError, DataError, MinidiscError
from minidisc_plugin.foundation.printable import one_line
from minidisc_plugin.tasks.files import UnusableError, column_of, looked_through

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from torch import Tensor

    from minidisc_plugin.contracts.dataset import DatasetConfig

INPUTS = ("input_values", "input_features")
"""What models of transformers call the numbers of sounds: samples, and spectrograms."""
SOUND = "minidisc sound"
"""Column of checked sounds, as they are stored: bytes, or the path of a file."""
LENGTH = "minidisc seconds"
"""Column of checked sounds: how long each is."""
MASK = "attention_mask"
# Samples that are read at once.
_BLOCK = 1 << 20


class SoundCollator:
    """Makes a batch of sounds as the teacher's feature extractor does, all of one length.

    Of one length, because many models hear the silence that a sound is padded with: what they say of it would depend
    on the other sounds of its batch.

    Args:
        extractor: The feature extractor.
        seconds: What longer sounds are cut to, and shorter ones padded to.

    Raises:
        ConfigError: it says no sampling rate.
    """

    def __init__(self, extractor: Any, seconds: float) -> None:
        self.extractor = extractor
        self.rate = int(getattr(extractor, "sampling_rate", None) or 0)
        if not self.rate:
            raise ConfigError(
                f"tokenizer: {type(extractor).__name__} says no sampling_rate; correct its preprocessor_config.json"
            )
        self.name = str(extractor.model_input_names[0])
        self.seconds = seconds
        self._padding: dict[str, Any] | None = None

    def __call__(self, rows: list[Any]) -> dict[str, Tensor]:
        """The model's inputs, (rows, samples) or (rows, ...) of spectrograms, and a tensor of every other column."""
        import torch

        found = self.of([read_sound(row[self.name], self.seconds, self.rate) for row in rows])
        others = {name: torch.tensor([row[name] for row in rows]) for name in rows[0] if name != self.name}
        return {**found, **others}

    def of(self, sounds: list[NDArray[Any]]) -> dict[str, Tensor]:
        """The model's inputs of sounds that were read."""
        if self._padding is None:
            self._padding = self._padding_of()
        return self._made(sounds, **self._padding)

    def _made(self, sounds: list[NDArray[Any]], **padding: Any) -> dict[str, Tensor]:
        read = self.extractor(sounds, sampling_rate=self.rate, return_tensors="pt", **padding)
        return {name: read[name] for name in (self.name, MASK) if name in read}

    def _padding_of(self) -> dict[str, Any]:
        """How the extractor is told to pad; not at all where it makes one size of every sound by itself.

        Raises:
            ConfigError: it makes spectrograms of many sizes, whose lengths it counts in units of its own.
        """
        if self._sizes_alone:
            return {}
        samples = math.ceil(self.seconds * self.rate)
        if tuple(self._made([self._silence(self.seconds)])[self.name].shape) != (1, samples):
            raise ConfigError(
                f"tokenizer: {type(self.extractor).__name__} makes spectrograms as long as sounds are, which this task "
                "cannot pad; it takes models that read samples, and those of spectrograms of one size (Whisper, AST)"
            )
        return {"padding": "max_length", "max_length": samples, "truncation": True}

    @cached_property
    def _sizes_alone(self) -> bool:
        """Whether the extractor makes one size of every sound by itself."""
        one, other = (self._made([self._silence(seconds)])[self.name].shape for seconds in (1.0, 2.0))
        return bool(one == other)

    def held(self) -> float | None:
        """Seconds that the extractor makes of every sound, where it makes one size of all; None where it does not.

        They are found by what it still hears, for each kind says it in a way of its own.
        """
        import numpy as np
        import torch

        if not self._sizes_alone:
            return None
        drawn = np.random.default_rng(0)
        sound, noise = (drawn.standard_normal(math.ceil(self.seconds * self.rate)).astype(np.float32) for _ in range(2))
        whole = self._made([sound])[self.name]

        def is_heard(start: int) -> bool:
            changed = np.concatenate([sound[:start], noise[start:]])
            return not torch.equal(whole, self._made([changed])[self.name])

        low, high = 0, len(sound)  # heard from the first on, and not from the second on
        while high - low > self.rate // 100:
            middle = (low + high) // 2
            low, high = (middle, high) if is_heard(middle) else (low, middle)
        return high / self.rate

    def _silence(self, seconds: float) -> NDArray[Any]:
        import numpy as np

        return np.zeros(math.ceil(seconds * self.rate), np.float32)


def sounds_of(split: Dataset, where: str, columns: DatasetConfig) -> Dataset:
    """The sounds of a split as they are stored, and how long each is; all of them can be read.

    Raises:
        ConfigError: what reads sounds is not installed.
        DataError: the column is missing or holds no sounds, or a sound cannot be read.
    """
    from datasets import Audio

    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError) as error:  # a library of the system may be missing
        raise ConfigError(
            f"dataset.audio: sounds are read by soundfile, which cannot be imported ({one_line(str(error))}); "
            "pip install 'minidisc-plugin[audio]'"
        ) from error
    stored = column_of(split, where, columns, SOUNDS, SOUND, Audio(decode=False))
    return stored.add_column(LENGTH, looked_through(stored, where, columns, SOUNDS, _seconds_of))


def read_sound(stored: Mapping[str, Any], seconds: float, rate: int) -> NDArray[Any]:
    """(samples,) of the beginning of a sound, its channels averaged, at most so many seconds at this sampling rate."""
    import soundfile
    from scipy.signal import resample_poly

    with soundfile.SoundFile(_source(stored)) as file:
        found = file.read(math.ceil(seconds * file.samplerate), dtype="float32", always_2d=True).mean(axis=1)
        shared = math.gcd(rate, file.samplerate)
        if file.samplerate != rate:
            found = resample_poly(found, rate // shared, file.samplerate // shared)
    kept: NDArray[Any] = found[: math.ceil(seconds * rate)]
    return kept


def check_sounds(sounds: Dataset, collate: SoundCollator, least: float) -> None:
    """Refuse sounds that the extractor cannot read, or makes several sizes of.

    Args:
        sounds: As `sounds_of` gives them.
        collate: Makes batches.
        least: Seconds of the shortest sound that the model can hear.

    Raises:
        ConfigError: it cannot read one, or they differ.
        DataError: one is too short.
    """
    lengths = list(sounds[LENGTH])
    shortest, longest = (lengths.index(choose(lengths)) for choose in (min, max))
    if lengths[shortest] < least:
        raise DataError(
            f"dataset.audio: a sound of {lengths[shortest]:.3g} seconds is too short for the model, which hears "
            f"{least:.3g} at least; leave it out ({_name(sounds[shortest][SOUND])})"
        )
    if collate.seconds < least:
        raise ConfigError(
            f"dataset.max_seconds: {collate.seconds:g} is too short for the model, which hears {least:.3g} at least; "
            "raise it"
        )
    sizes = []
    for place in (shortest, longest):
        try:
            found = collate([{collate.name: sounds[place][SOUND]}])
        except MinidiscError:
            raise
        except Exception as error:  # each feature extractor fails in a way of its own
            raise ConfigError(
                f"tokenizer: the feature extractor cannot read a sound of {lengths[place]:.3g} seconds: "
                f"{one_line(str(error))}; correct its preprocessor_config.json"
            ) from error
        sizes.append(tuple(found[collate.name].shape[1:]))
    if sizes[0] != sizes[1]:
        raise ConfigError(
            f"tokenizer: {type(collate.extractor).__name__} makes {sizes[0]} of the shortest sound and {sizes[1]} of "
            "the longest, and a batch holds one size; give a feature extractor that pads to max_length"
        )


def _seconds_of(stored: Mapping[str, Any]) -> float:
    """How long a sound is; it is read to its end, for a header says nothing of what follows."""
    import numpy as np
    import soundfile

    if stored["bytes"] is None and not Path(stored["path"]).exists():
        raise FileNotFoundError(stored["path"])
    with soundfile.SoundFile(_source(stored)) as file:
        length = 0
        while len(block := file.read(_BLOCK, dtype="float32")):
            if not np.isfinite(block).all():
                raise UnusableError("holds what is no number (NaN or infinity)")
            length += len(block)
        if not length:
            raise UnusableError("holds no sound, its length is 0")
        if length < file.frames:
            raise UnusableError(f"ends after {length:,} of {file.frames:,} samples")
        return float(length / file.samplerate)


def _source(stored: Mapping[str, Any]) -> Any:
    return stored["path"] if stored["bytes"] is None else io.BytesIO(stored["bytes"])


def _name(stored: Mapping[str, Any]) -> str:
    return str(stored["path"] or "what the column holds")
