"""What a decoder is to write, as tokens."""

from __future__ import annotations

import logging
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.quiet import quiet

logger = logging.getLogger(__name__)


def tokens_of(texts: list[str], tokenizer: Any, max_length: int) -> list[list[int]]:
    """The tokens of each target, cut where there are more than `max_length`."""
    found: list[list[int]] = tokenizer(text_target=texts, truncation=True, max_length=max_length)["input_ids"]
    return found


def check_cut(texts: list[str], labels: list[list[int]], tokenizer: Any, max_length: int) -> None:
    """Say how many targets were cut.

    Args:
        texts: The targets of a split.
        labels: As `tokens_of` gives them, or without what a decoder is given first.
        tokenizer: Made them.
        max_length: They were cut there.

    Raises:
        ConfigError: of no target a word is left.
    """
    long = [text for text, ids in zip(texts, labels, strict=True) if len(ids) >= max_length - 1]
    if not long:
        return
    with quiet():
        cut = sum(len(ids) > max_length for ids in tokenizer(text_target=long)["input_ids"])
    special = set(tokenizer.all_special_ids)
    if cut and all(special.issuperset(ids) for ids in labels):
        raise ConfigError(
            f"max_length: {max_length} leaves no word of any target, only what each begins and ends with; raise it"
        )
    if cut:
        logger.warning(
            "max_length: %d of %d targets have more than %d tokens, and are cut", cut, len(texts), max_length
        )
