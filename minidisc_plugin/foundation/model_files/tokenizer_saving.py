"""Tokenizers saved as they were loaded: a fast one keeps how the last call cut and padded, and would save that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_AS_LOADED = "_cut_and_padded_as_loaded"


def remember_state(tokenizer: Any) -> None:
    """Keep how a tokenizer that was just loaded cuts and pads by itself, before the first call changes it."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is not None:
        setattr(tokenizer, _AS_LOADED, (core.truncation, core.padding))


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Save a tokenizer in the state that was remembered; one of which none was neither cuts nor pads by itself."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is not None:
        truncation, padding = getattr(tokenizer, _AS_LOADED, (None, None))
        core.enable_truncation(**truncation) if truncation else core.no_truncation()
        core.enable_padding(**padding) if padding else core.no_padding()
    tokenizer.save_pretrained(str(folder))
