"""What the teacher says of evaluated splits, as their labels: of tasks whose models are judged by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.run import Prepared

if TYPE_CHECKING:
    from datasets import Dataset


def with_references(prepared: Prepared) -> Prepared:
    """The run with the teacher's predictions as `labels` of every split that a model is evaluated on."""
    if not prepared.task.follows_teacher:
        return prepared
    splits = prepared.splits
    validation = None if splits.validation is None else _referred(prepared, splits.validation)
    return replace(
        prepared,
        splits=replace(
            splits,
            selection=_referred(prepared, splits.selection),
            validation=validation,
            report=_referred(prepared, splits.report),
        ),
    )


def _referred(prepared: Prepared, split: Dataset) -> Dataset:
    from tqdm.auto import tqdm

    from minidisc_plugin.foundation.processes import is_writer
    from minidisc_plugin.run.data.collating import collator_of
    from minidisc_plugin.training.predictions import predict

    teacher, size = prepared.teacher.to(prepared.args.device).eval(), prepared.args.per_device_eval_batch_size
    collate, starts = collator_of(prepared), range(0, len(split), size)
    shown = tqdm(starts, "the teacher's embeddings", disable=prepared.args.disable_tqdm or not is_writer(), leave=False)
    batches = (collate(list(split.select(range(start, min(start + size, len(split)))))) for start in shown)
    found = predict(teacher, batches, prepared.task, teacher, prepared.task.reduce)
    return split.add_column("labels", list(found.predictions))
