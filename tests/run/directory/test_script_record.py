"""A script is resumed over what its stages were made from, and over nothing else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from minidisc_plugin import MiniDisc
from minidisc_plugin.contracts.config import EngineConfig
from minidisc_plugin.contracts.output import JOURNAL_FILE, SCRIPT_RECORD
from minidisc_plugin.contracts.scheduler import ScriptInputs
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.directory import script_record
from minidisc_plugin.schedulers.workbench import Workbench
from tests.builders.script import arguments
from tests.builders.tiny import make_bert

TEACHER = make_bert()


def rows(flipped: bool = False) -> Dataset:
    return Dataset.from_list(
        [{"input_ids": [2, 5 + number % 9, 3], "labels": (number + flipped) % 2} for number in range(40)]
    )


def bench(folder: Path, teacher: Any = TEACHER, scheduler: MiniDisc | None = None, **changes: Any) -> Workbench:
    args = arguments(folder, **changes.pop("args", {}))
    inputs: ScriptInputs = {"train_dataset": rows(), "args": args, "compute_metrics": accuracy, "metric": "accuracy"}
    made = scheduler or MiniDisc(target_sparsity=0.7, candidates=[0.5])
    return made.workbench(teacher, **{**inputs, **changes})  # type: ignore[return-value]


def accuracy(prediction: Any) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def finish_a_stage(made: Workbench) -> None:
    with made.journal.stage("sandwich"):
        pass


def other_teacher() -> Any:
    teacher = make_bert()
    with torch.no_grad():
        next(teacher.parameters()).add_(1)
    return teacher


CHANGES: dict[str, dict[str, Any]] = {
    "args.learning_rate, selection_dataset, train_dataset": {
        "train_dataset": rows(flipped=True),
        "args": {"learning_rate": 1e-2},
    },
    "args.num_train_epochs": {"args": {"num_train_epochs": 5}},
    "teacher": {"teacher": other_teacher()},
    "metric": {"metric": "f1"},
    "engine.dropout": {"engine": EngineConfig(dropout=True)},
    "scheduler_config.rule": {"scheduler": MiniDisc(target_sparsity=0.7, candidates=[0.5], rule="gap")},
    "eval_dataset": {"eval_dataset": rows()},
}


@pytest.mark.parametrize("named", CHANGES)
def test_a_script_is_not_resumed_over_something_else(named: str, tmp_path: Path) -> None:
    finish_a_stage(bench(tmp_path))
    with pytest.raises(RunDirectoryError) as caught:
        bench(tmp_path, resume=True, **CHANGES[named])
    assert str(caught.value) == (
        f"resume: {tmp_path} holds stages that were made with another {named}; give what they were made with, leave "
        "resume out to start anew, or give another args.output_dir"
    )
    assert bench(tmp_path, resume=True).journal.finished("sandwich"), "as it was"


def test_what_changes_no_result_forbids_nothing(tmp_path: Path) -> None:
    finish_a_stage(bench(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    teacher = make_bert()
    teacher.config.problem_type = "single_label_classification"  # what a call with labels notes
    engine = EngineConfig(teacher_cache_dir=str(tmp_path / "cache"))
    args = {"logging_steps": 7, "run_name": "again", "save_total_limit": 3}
    again = bench(tmp_path / "there", teacher, resume=True, args=args, engine=engine)
    assert again.journal.finished("sandwich")


def test_a_script_that_starts_anew_leaves_nothing_of_before_to_resume(tmp_path: Path) -> None:
    finish_a_stage(bench(tmp_path))
    stage = tmp_path / "student" / "checkpoint-3"
    stage.mkdir(parents=True)
    (stage / "seal.json").write_text("{}", encoding="utf-8")
    (tmp_path / "mine").write_text("kept", encoding="utf-8")
    changed = CHANGES["args.num_train_epochs"]
    bench(tmp_path, **changed)  # and was cut off in its first stage
    assert not bench(tmp_path, resume=True, **changed).journal.finished("sandwich")
    assert not stage.exists() and (tmp_path / "mine").is_file()


def test_a_folder_of_an_earlier_release_is_gone_on_with_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finish_a_stage(bench(tmp_path))
    (tmp_path / SCRIPT_RECORD).unlink()
    with caplog.at_level(logging.WARNING):
        assert bench(tmp_path, resume=True).journal.finished("sandwich")
        assert bench(tmp_path, resume=True).journal.finished("sandwich")
    said = [record.getMessage() for record in caplog.records if "did not record" in record.getMessage()]
    assert said == [
        f"{tmp_path} was begun by a release that did not record what its stages were made from; it is gone on with as "
        "if that were the same"
    ]


def test_only_the_writer_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish_a_stage(bench(tmp_path))
    before = (tmp_path / SCRIPT_RECORD).read_bytes()
    monkeypatch.setattr(script_record, "is_writer", lambda: False)
    bench(tmp_path, **CHANGES["args.num_train_epochs"])
    assert (tmp_path / SCRIPT_RECORD).read_bytes() == before and (tmp_path / JOURNAL_FILE).is_file()
