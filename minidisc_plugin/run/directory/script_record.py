"""What the stages of a script were made from, beside its journal: `resume=True` goes on over the same things only."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from minidisc_plugin.contracts.output import JOURNAL_FILE, SCRIPT_RECORD
from minidisc_plugin.foundation.digests import digest_of_dataset, digest_of_weights
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.foundation.processes import is_writer, process_count
from minidisc_plugin.foundation.redaction import without_secrets
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.run.directory.record import (
    RunRecord,
    deciding_engine,
    deciding_training,
    dotted,
    read_record,
    write_record,
)
from minidisc_plugin.training.checkpoints import checkpoints_in

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

    from minidisc_plugin.contracts.scheduler import Scheduler
    from minidisc_plugin.schedulers.means import Data, Score, Training

logger = logging.getLogger(__name__)

# Training arguments that a config has no place for, as they say where and by whom something is done, not what.
_OF_THE_CALL = frozenset(
    {
        "output_dir",
        "overwrite_output_dir",
        "do_train",
        "do_eval",
        "do_predict",
        "resume_from_checkpoint",
        "local_rank",
    }
)


def begin(
    students: Sequence[Scheduler], teacher: PreTrainedModel, data: Data, score: Score, training: Training
) -> None:
    """Record what the stages of a script are made from; to be resumed, they have to be made from the same.

    Without `resume`, what an earlier script trained in the folder is forgotten. A folder of a release that kept no
    record is gone on with, and from then on has one.

    Args:
        students: The scheduler, with its settings, of each student, from the largest to the smallest.
        teacher: The fine-tuned model.
        data: What trains and what is scored.
        score: How models are scored; functions are not compared.
        training: How stages train; `args.output_dir` is the folder.

    Raises:
        RunDirectoryError: names what differs.
        StorageError: the record cannot be written.
    """
    folder = Path(str(training.args.output_dir))
    wanted = _made_from(students, teacher, data, score, training)
    held = read_record(folder, SCRIPT_RECORD) if training.resume else None
    if held is not None:
        settings, inputs = held.differences(wanted)
        if settings or inputs:
            raise RunDirectoryError(
                f"resume: {folder} holds stages that were made with another {', '.join([*settings, *inputs])}; give "
                "what they were made with, leave resume out to start anew, or give another args.output_dir"
            )
    elif is_writer():
        journal = folder / JOURNAL_FILE
        if training.resume and journal.is_file():
            logger.warning(
                "%s was begun by a release that did not record what its stages were made from; it is gone on with "
                "as if that were the same",
                folder,
            )
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not training.resume:
                _forget(folder)
            write_record(folder, wanted, SCRIPT_RECORD)


def _forget(folder: Path) -> None:
    """Remove what says that stages are finished or under way, else a resumed script would take them for its own."""
    (folder / JOURNAL_FILE).unlink(missing_ok=True)
    for stage in folder.iterdir():
        for checkpoint in checkpoints_in(stage, sealed=True):
            checkpoint.remove()


def _made_from(
    students: Sequence[Scheduler], teacher: PreTrainedModel, data: Data, score: Score, training: Training
) -> RunRecord:
    objective = training.objective
    *larger, scheduler = students
    settings = {
        "scheduler": scheduler.name,
        "scheduler_config": scheduler.model_dump(by_alias=True),
        "metric": score.metric,
        "metric_range": [score.range.low, score.range.high] if score.range else None,
        "objective": {"class": type(objective).__qualname__, **objective.settings.model_dump(by_alias=True)},
        "engine": deciding_engine(training.engine.model_dump(by_alias=True)),
        "args": deciding_training(_set_arguments(training.args)),
    }
    inputs = {"teacher": digest_of_weights(teacher), "number of processes": str(process_count())}
    datasets = {"train_dataset": data.train, "selection_dataset": data.selection, "eval_dataset": data.validation}
    for name, dataset in datasets.items():
        if isinstance(dataset, Dataset):
            inputs[name] = digest_of_dataset(dataset)
    if larger:
        settings["larger"] = {f"{one.target_sparsity:g}": one.model_dump(by_alias=True) for one in larger}
    plain = json.loads(json.dumps(settings, default=_named))
    return RunRecord(settings=dict(dotted(without_secrets(plain, marked=False))), inputs=inputs)


def _set_arguments(args: TrainingArguments) -> Mapping[str, Any]:
    """Those that differ from their defaults, which other releases of transformers have more of."""
    defaults = {field.name: field.default for field in dataclasses.fields(args)}
    return {
        name: value
        for name, value in args.to_dict().items()
        if name not in _OF_THE_CALL and value != defaults.get(name)
    }


def _named(value: Any) -> str:
    """What JSON has no form for, by its name: its address would be another in each process."""
    return str(getattr(value, "__qualname__", type(value).__qualname__))
