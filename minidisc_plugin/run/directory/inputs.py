"""What a run is made from, by checksum: a run is resumed over the same teacher, tokenizer and data only."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.digests import (
    digest_of_dataset,
    digest_of_model,
    digest_of_plain,
    digest_of_processor,
    digest_of_tokenizer_before,
    sha256_of,
)
from minidisc_plugin.foundation.processes import process_count
from minidisc_plugin.run.directory.record import ALTERED, SAVED_TOKENIZER, WRITING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.run import Splits


def checksums(
    teacher: PreTrainedModel, processor: Any, splits: Splits, metric: Any, beside: Mapping[str, str], reader: str
) -> dict[str, str]:
    """Checksums by what messages call each input; the number of processes is one, for batches depend on it.

    Args:
        teacher: As loaded.
        processor: What reads its inputs.
        splits: Of the dataset, as features.
        metric: The module that `evaluate` loaded.
        beside: Files of the teacher that are copied beside what is made of it, by name.
        reader: What `processor` is called.
    """
    found = {
        "model": digest_of_model(teacher),
        **_of_processor(processor, reader),
        "dataset (split to train on)": digest_of_dataset(splits.train, splits.selection),
        "dataset (validation split)": digest_of_dataset(splits.validation),
        "dataset (reported split)": digest_of_dataset(splits.report),
        "metric": sha256_of(Path(inspect.getfile(type(metric)))),
        "number of processes": str(process_count()),
    }
    if splits.unlabelled is not None:
        found["dataset (unlabelled split)"] = digest_of_dataset(splits.unlabelled)
    if splits.altered is not None:  # made of texts, of which tokens do not tell all
        found[ALTERED] = digest_of_dataset(splits.altered)
    if teacher.can_generate():
        settings = teacher.generation_config.to_dict()
        found[WRITING] = digest_of_plain({**settings, "transformers_version": None})
    if beside:
        found["files beside the model"] = digest_of_plain(beside)
    return found


def _of_processor(processor: Any, reader: str) -> dict[str, str]:
    digest = digest_of_processor(processor)
    if not hasattr(processor, "get_vocab"):
        return {reader: digest}
    return {"tokenizer": digest_of_tokenizer_before(processor), SAVED_TOKENIZER: digest}
