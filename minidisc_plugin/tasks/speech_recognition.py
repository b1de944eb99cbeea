"""Speech recognition by models of an encoder that hears and a decoder that writes, such as Whisper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from minidisc_plugin.contracts.task import IGNORED
from minidisc_plugin.foundation.decoders import DECODER_INPUTS
from minidisc_plugin.tasks.frames import convolutions
from minidisc_plugin.tasks.hearing import Hearing
from minidisc_plugin.tasks.language import WritingTargets
from minidisc_plugin.tasks.sounds import MASK, SoundCollator
from minidisc_plugin.tasks.targets import check_cut, tokens_of

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.dataset import DatasetConfig

_TARGET = "minidisc target"


class SpeechRecognition(Hearing, WritingTargets):
    """Each token of what is said is predicted from the sound and the tokens before it (teacher forcing).

    Args:
        layers: See Hearing.
        start: Token that the decoder is given first; it is no part of a target.
    """

    name = "automatic-speech-recognition"
    auto_class = "AutoModelForSpeechSeq2Seq"
    runtime_classes = {  # noqa: RUF012
        "openvino": "OVModelForSpeechSeq2Seq",
        "onnx": "ORTModelForSpeechSeq2Seq",
    }
    reader = "processor"
    sequences = ("labels",)
    begins_with = 4  # its start, language, task, and that no times are written

    def __init__(self, layers: tuple[tuple[int, int], ...] = (), start: int | None = None) -> None:
        super().__init__(layers)
        self.start = start

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """The task as a model of this config does it."""
        return cls(convolutions(config), getattr(config, "decoder_start_token_id", None))

    def check(self, split: Dataset, where: str, columns: DatasetConfig, config: PretrainedConfig) -> Dataset:
        """See Task."""
        targets = self.targets(split, where, columns)
        return self.sounds(split, where, columns).add_column(_TARGET, targets)

    def features(self, examples: Dataset, processor: Any, max_length: int) -> Dataset:
        """See Task; targets are cut at `max_length`, sounds are read batch by batch.

        Raises:
            ConfigError: the feature extractor cannot read them, or no word of any target is left.
            DataError: one is too short for the model.
        """

        def tokenise(batch: dict[str, list[Any]]) -> dict[str, Any]:
            found = tokens_of(batch[_TARGET], processor.tokenizer, max_length)
            return {"labels": [ids[1:] if ids[:1] == [self.start] else ids for ids in found]}

        heard = self.heard(examples, self.collator(processor))
        features = heard.map(tokenise, batched=True, remove_columns=[_TARGET], desc="tokenising")
        check_cut(list(heard[_TARGET]), list(features["labels"]), processor.tokenizer, max_length)
        return features

    def numbers(self, features: Dataset, processor: Any) -> Dataset:
        """See Task; a decoder is given its targets, one place later, all of one length."""
        targets = list(features["labels"])
        longest, pad = max(map(len, targets)), processor.tokenizer.pad_token_id
        read = [[self.start, *labels[:-1], *[pad] * (longest - len(labels))] for labels in targets]
        return super().numbers(features, processor).add_column(DECODER_INPUTS, read)

    def collator(self, processor: Any) -> SpeechCollator:
        """See Task."""
        return SpeechCollator(processor.feature_extractor, self.longest)

    def compared(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> tuple[Any, Any, Any]:
        """See Task; a mask is of samples or of a spectrogram, and states of the encoder have frames of their own."""
        return super().compared(student, teacher, {name: value for name, value in batch.items() if name != MASK})


class SpeechCollator(SoundCollator):
    """Makes a batch of sounds and of what is said, each target padded with what does not count."""

    def __call__(self, rows: list[Any]) -> dict[str, Tensor]:
        """The model's inputs, and `labels` (rows, longest)."""
        longest = max((len(row["labels"]) for row in rows if "labels" in row), default=0)
        return super().__call__(
            [
                {**row, "labels": [*row["labels"], *[IGNORED] * (longest - len(row["labels"]))]} if longest else row
                for row in rows
            ]
        )
