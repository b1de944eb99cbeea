"""Of what size the examples are that a model is timed with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputShape:
    """One of the first three is given.

    Attributes:
        sequence_length: Tokens of a text.
        image_size: Height and width of an image, in pixels.
        audio_size: Of a sound, its samples; of a spectrogram its two sides.
        choices: Texts of an example that are several, each of so many tokens.
    """

    sequence_length: int | None = None
    image_size: tuple[int, int] | None = None
    audio_size: tuple[int, ...] | None = None
    choices: int | None = None

    def __str__(self) -> str:
        """For tables and logs: "128 tokens", "4 x 128 tokens", "224 x 224 pixels", "16,000 samples"."""
        if self.image_size is not None:
            return f"{self.image_size[0]} x {self.image_size[1]} pixels"
        if self.audio_size is not None:
            unit = "samples" if len(self.audio_size) == 1 else "values of a spectrogram"
            return f"{' x '.join(f'{size:,}' for size in self.audio_size)} {unit}"
        return (
            f"{self.sequence_length} tokens"
            if self.choices is None
            else f"{self.choices} x {self.sequence_length} tokens"
        )

    def batch(self, examples: int, tokens: int) -> str:
        """So many examples in words.

        Args:
            examples: Of the batch.
            tokens: Of each, where they are texts; of all choices together.
        """
        if self.image_size is not None:
            return f"{examples} images of {self}"
        return f"{examples} sounds of {self}" if self.audio_size is not None else f"{examples} x {tokens} tokens"
