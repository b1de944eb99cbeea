"""What makes batches of a run's examples."""

from __future__ import annotations

from typing import Any

from minidisc_plugin.contracts.run import Prepared


def collator_of(prepared: Prepared) -> Any:
    """Makes batches: the task's, or one that pads as the tokenizer does."""
    from transformers import DataCollatorWithPadding

    from minidisc_plugin.training.compiling import LENGTHS, pads_for_recordings
    from minidisc_plugin.training.padding import PaddedTo

    collator = prepared.task.collator(prepared.tokenizer) or DataCollatorWithPadding(prepared.tokenizer)
    config = prepared.config
    multiple = None
    if config.engine.padding != "max_length":
        if not pads_for_recordings(config.engine.compile, prepared.args):
            return collator
        multiple = LENGTHS
    return PaddedTo(collator, config.max_length, prepared.tokenizer.pad_token_id, prepared.task.whole_columns, multiple)
