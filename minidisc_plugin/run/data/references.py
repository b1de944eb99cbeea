"""What the teacher says of evaluated splits, as their labels: of tasks whose models are judged by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.run import Prepared

if TYPE_CHECKING:
    from datasets import Dataset


def with_references(prepared: Prepared) -> Prepared:
    """The run with the teacher's predictions as `labels` of every split that a model is evaluated on.

    Splits that are judged by something else than the teacher have zeros there, but for the selection split: a choice
    among candidates may look at how far each is from the teacher.
    """
    if not prepared.task.follows_teacher:
        return prepared
    splits = prepared.splits
    selection = _referred(prepared, splits.selection)
    nothing = [0.0] * len(selection[0]["labels"])

    def labelled(split: Dataset) -> Dataset:
        if prepared.task.judged_by_teacher(split):
            return _referred(prepared, split)
        return split.add_column("labels", [nothing] * len(split))

    validation = None if splits.validation is None else labelled(splits.validation)
    found = replace(splits, selection=selection, validation=validation, report=labelled(splits.report))
    return replace(prepared, splits=found)


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
