"""Processors saved as they were loaded: a fast tokenizer keeps how it last cut and padded, and would save that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_AS_LOADED = "_cut_and_padded_as_loaded"


def tokenizer_of(processor: Any) -> Any:
    """The tokenizer of a processor that has one beside what reads sounds; else the processor itself."""
    return processor.tokenizer if hasattr(processor, "feature_extractor") else processor


def remember_state(tokenizer: Any) -> None:
    """Keep how a tokenizer that was just loaded cuts and pads by itself, before the first call changes it."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is not None:
        setattr(tokenizer, _AS_LOADED, (core.truncation, core.padding))


def save_processor(processor: Any, folder: Path) -> None:
    """Save what reads inputs; a tokenizer of which no state was remembered neither cuts nor pads by itself."""
    tokenizer = tokenizer_of(processor)
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is not None:
        truncation, padding = getattr(tokenizer, _AS_LOADED, (None, None))
        core.enable_truncation(**truncation) if truncation else core.no_truncation()
        core.enable_padding(**padding) if padding else core.no_padding()
    processor.save_pretrained(str(folder))
