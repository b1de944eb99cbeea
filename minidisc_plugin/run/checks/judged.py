"""Splits that hold nothing, or one thing only, to judge a model by: every model would get the same metric there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.run import Splits
    from minidisc_plugin.contracts.task import Task

logger = logging.getLogger(__name__)


def check_judged(splits: Splits, task: Task, config: PretrainedConfig) -> None:
    """Refuse a split without anything to judge by; warn where what is reported, or stops training, has one label only.

    Args:
        splits: Tokenised: what a tokenizer makes no token of counts nowhere.
        task: Of the run.
        config: The teacher's.

    Raises:
        DataError: names the split.
    """
    reported = {f"the reported split {splits.report_name!r}": splits.report}
    if splits.validation is not None:
        reported["the validation split"] = splits.validation
    for where, split in {"the split to train on": splits.train, "the selection split": splits.selection}.items():
        _judged_by(task, split, where)
    for where, split in reported.items():
        count, label = _judged_by(task, split, where), task.sole_label(split, config)
        if label is not None:
            logger.warning(
                "dataset.label: all %d labels of %s are %s: no metric tells a good model there from one that always "
                "says so; shuffle the data, or give more",
                *(count, where, label),
            )


def _judged_by(task: Task, split: Dataset, where: str) -> int:
    count = task.judged_by(split)
    if not count:
        raise DataError(
            f"dataset.label: {where} has no {task.judged_as}, and so nothing to judge a model by; give examples that "
            "have, or another split"
        )
    return count
