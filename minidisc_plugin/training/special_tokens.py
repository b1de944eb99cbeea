"""The special tokens of a model, which Trainer changes to its tokenizer's where they differ."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("pad_token_id", "bos_token_id", "eos_token_id")


@contextmanager
def special_tokens_kept(model: Any) -> Iterator[None]:
    """Afterwards they are those from before: a student ends its texts where its teacher does.

    `Trainer.train` of transformers 4 takes from a config what the tokenizer does not tell (`_align_special_tokens`).
    """
    config, generation = getattr(model, "config", None), getattr(model, "generation_config", None)
    before = {name: getattr(config, name) for name in _NAMES if hasattr(config, name)}
    of_generation = copy.deepcopy(generation)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)
        if generation is not None:
            model.generation_config = of_generation
