"""Checks that need the data and the model, made before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.run import Splits


def check_lengths(config: CompressionConfig, splits: Splits, teacher: PreTrainedModel) -> None:
    """Refuse examples that are longer than what the model has positions for."""
    limit = getattr(teacher.config, "max_position_embeddings", None) or 0
    if not 0 < limit < config.max_length:
        return
    if config.engine.padding == "max_length":
        raise ConfigError(
            f"max_length: batches would be padded to {config.max_length} tokens, and the model has {limit} positions; "
            f"set max_length: {limit}, or engine.padding: longest"
        )
    given = (splits.train, splits.selection, splits.validation, splits.report, splits.further)
    parts = [split for split in given if split is not None]
    columns = ["input_ids", *(["labels"] if config.task == "text2text-generation" else [])]
    longest = max(len(ids) for split in parts for name in columns for ids in split[name])
    if longest > limit:
        raise ConfigError(
            f"max_length: {config.max_length} lets through examples of up to {longest} tokens, "
            f"and the model has {limit} positions; set max_length: {limit}"
        )
