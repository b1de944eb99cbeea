"""Folders of sounds as `datasets` lists them, without the library that it decodes sounds with: nothing is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datasets import Audio

if TYPE_CHECKING:
    from datasets import DatasetBuilder


class StoredAudio(Audio):  # type: ignore[misc]
    """`Audio` of a path or of bytes, which its own `encode_example` imports torchcodec for; cached as `Audio`."""

    def encode_example(self, value: Any) -> dict[str, Any]:
        """Path and bytes of a sound as they are stored."""
        if isinstance(value, Mapping):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        return {"bytes": None, "path": str(value)}


def leave_encoded(builder: DatasetBuilder) -> None:
    """Let the loader of folders of sounds list them as they are stored."""
    if getattr(builder, "BASE_FEATURE", None) is Audio:
        builder.BASE_FEATURE = StoredAudio
