"""Tasks whose examples are made of something else than texts, or of more than texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Inputs:
    """What an example of a task is made of.

    Attributes:
        key: Of the section `dataset`: names the column; and what it is called where nothing is said, as `imagefolder`
            and `audiofolder` of datasets call it.
        said: Several of them, for messages.
    """

    key: str
    said: str


IMAGES, SOUNDS = Inputs("image", "images"), Inputs("audio", "sounds")
SPEECH = "automatic-speech-recognition"
NOT_TEXTS: Mapping[str, Inputs] = {
    "image-classification": IMAGES,
    "audio-classification": SOUNDS,
    SPEECH: SOUNDS,
}
"""By task."""
CHOICE = "multiple-choice"
SECONDS = 30.0
"""Of a sound that are kept, where nothing is said."""
