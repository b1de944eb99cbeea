"""Checks that need the data and the model, made before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.positions import positions

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.run import Splits
    from minidisc_plugin.contracts.task import Task


def check_lengths(config: CompressionConfig, splits: Splits, teacher: PreTrainedModel, task: Task) -> None:
    """Refuse examples that are longer than what the model has positions for.

    Args:
        config: Says how long examples may be, and how they are padded.
        splits: Tokenised.
        teacher: The model.
        task: Of the run; one whose examples are all of one size has nothing to refuse here.

    Raises:
        ConfigError: names the longest, and what to set.
    """
    limit = positions(teacher)
    if not task.sequences or not 0 < limit < config.max_length:
        return
    if config.engine.padding == "max_length":
        raise ConfigError(
            f"max_length: batches would be padded to {config.max_length} tokens, and the model has {limit} positions; "
            f"set max_length: {limit}, or engine.padding: longest"
        )
    longest = max(int(lengths(split, name).max(initial=0)) for split in splits.all for name in task.sequences)
    if longest > limit:
        raise ConfigError(
            f"max_length: {config.max_length} lets through examples of up to {longest} tokens, "
            f"and the model has {limit} positions; set max_length: {limit}"
        )


def lengths(split: Dataset, name: str) -> NDArray[Any]:
    """How long the list in a column of each example is, or the longest of its choices, without making lists of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = split.select_columns([name]).with_format("arrow")[:][name]
    found = np.asarray(pc.list_value_length(column))
    if not len(found) or not pa.types.is_list(column.type.value_type):
        return found
    each = np.asarray(pc.list_value_length(pc.list_flatten(column)))
    longest: NDArray[Any] = each.reshape(len(found), -1).max(axis=1)
    return longest
