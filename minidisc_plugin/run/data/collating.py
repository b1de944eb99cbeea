"""What makes batches of a run's examples."""

from __future__ import annotations

from typing import Any

from minidisc_plugin.contracts.run import Prepared


def padding_of(prepared: Prepared) -> Any:
    """Makes batches of inputs that are numbers already: padded where examples are texts."""
    from transformers import default_data_collator

    return close_collator(prepared) if prepared.task.reader == "tokenizer" else default_data_collator


def collator_of(prepared: Prepared) -> Any:
    """Makes batches as they are trained on: of the width that `engine.padding` asks for."""
    from minidisc_plugin.foundation.model_files.processor_saving import tokenizer_of
    from minidisc_plugin.training.compiling import LENGTHS, pads_for_recordings
    from minidisc_plugin.training.padding import PaddedTo

    collator = close_collator(prepared)
    if not prepared.task.sequences:
        return collator
    config = prepared.config
    multiple = None
    if config.engine.padding != "max_length":
        if not pads_for_recordings(config.engine.compile, prepared.args):
            return collator
        multiple = LENGTHS
    return PaddedTo(
        collator,
        config.max_length,
        tokenizer_of(prepared.processor).pad_token_id,
        prepared.task.whole_columns,
        multiple,
    )


def close_collator(prepared: Prepared) -> Any:
    """Makes batches as wide as their longest example: the task's, or one that pads as the tokenizer does."""
    from transformers import DataCollatorWithPadding

    return prepared.task.collator(prepared.processor) or DataCollatorWithPadding(prepared.processor)
