"""Of what size the examples are that a model is timed with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputShape:
    """One of both is given.

    Attributes:
        sequence_length: Tokens of a text.
        image_size: Height and width of an image, in pixels.
    """

    sequence_length: int | None = None
    image_size: tuple[int, int] | None = None

    def __str__(self) -> str:
        """For tables and logs: "128 tokens", "224 x 224 pixels"."""
        if self.image_size is not None:
            return f"{self.image_size[0]} x {self.image_size[1]} pixels"
        return f"{self.sequence_length} tokens"
