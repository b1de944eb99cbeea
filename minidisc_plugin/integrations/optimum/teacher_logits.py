"""The column `teacher_logits`, from which `INCTrainer` takes a teacher's outputs instead of running it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.integrations.inc.scheduling import TEACHER_LOGITS

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel


def with_teacher_logits(
    dataset: Dataset, teacher: PreTrainedModel, data_collator: Callable[[list[Any]], Any], batch_size: int
) -> Dataset:
    """The dataset with the teacher's logits, (labels,) per example, in place of those that it has.

    Args:
        dataset: Tokenised examples.
        teacher: The model whose logits they are.
        data_collator: Makes a batch of examples.
        batch_size: Examples of a batch.
    """
    bare = dataset.remove_columns(TEACHER_LOGITS) if TEACHER_LOGITS in dataset.column_names else dataset
    inputs = bare.select_columns([name for name in bare.column_names if name in _features(teacher)])
    teacher.eval()

    def logits(examples: dict[str, list[Any]]) -> dict[str, Any]:
        rows = [dict(zip(examples, values, strict=True)) for values in zip(*examples.values(), strict=True)]
        batch = {name: value.to(teacher.device) for name, value in data_collator(rows).items()}
        with torch.inference_mode():
            return {TEACHER_LOGITS: teacher(**batch).logits.float().cpu().numpy()}

    column = inputs.map(
        logits, batched=True, batch_size=batch_size, remove_columns=inputs.column_names, desc="logits of the assistant"
    )
    return bare.add_column(TEACHER_LOGITS, column[TEACHER_LOGITS][:])


def _features(model: PreTrainedModel) -> set[str]:
    return set(inspect.signature(model.forward).parameters)
