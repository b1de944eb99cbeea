"""A split that nothing can be judged by is refused before a run, and one that says one thing only is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config, write_csv
from tests.tasks.making import make_task_run

Row = dict[str, Any]
TASKS = {
    "token-classification": ("token-classification", "seqeval"),
    "question-answering": ("question-answering", "squad"),
    "text2text-generation": ("t5", "bits_saved"),
}


def prepare_with(folder: Path, task: str, change: Callable[[Row], Row], split: str = "test") -> None:
    """Prepare a run of which one split's rows are others."""
    (folder / "data").mkdir()
    config = make_task_run(folder / "data", task, *TASKS[task], epochs=0, output_dir=str(folder / "out"))
    file = Path(config["dataset"]["data_files"][split])
    rows = [change(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    prepare(CompressionConfig.model_validate(config), folder / "out" / "checkpoints")


def nothing(row: Row) -> Row:
    return {"tokens": [], "tags": []}


def vanishing(row: Row) -> Row:
    return {"tokens": [" "], "tags": ["B-GOOD"]}


def unseen_answer(row: Row) -> Row:
    return {**row, "context": "  ", "answers": {"text": [" "], "answer_start": [1]}}


def no_target(row: Row) -> Row:
    return {**row, "target": " "}


@pytest.mark.parametrize(
    ("task", "change", "split", "parts"),
    [
        ("token-classification", nothing, "test", ("the reported split 'test' has no labelled word",)),
        ("token-classification", vanishing, "test", ("the reported split 'test' has no labelled word",)),
        ("token-classification", vanishing, "train", ("the split to train on has no labelled word",)),
        ("question-answering", unseen_answer, "test", ("the reported split 'test' has no answer",)),
        ("text2text-generation", no_target, "test", ("column 'target' of split 'test' holds empty targets only",)),
        ("text2text-generation", no_target, "train", ("column 'target' of split 'train' holds empty targets only",)),
    ],
)
def test_a_split_with_nothing_to_judge_by_is_refused(
    task: str, change: Callable[[Row], Row], split: str, parts: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        prepare_with(tmp_path, task, change, split)
    message = str(caught.value)
    assert message.startswith("dataset.label: ") and "\n" not in message and "another split" in message
    assert all(part in message for part in parts)
    assert not (tmp_path / "out").exists()


def test_words_that_become_no_token_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def lose_the_first(row: Row) -> Row:
        return {**row, "tokens": [" ", *row["tokens"][1:]]}

    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare_with(tmp_path, "token-classification", lose_the_first)
    (said,) = [record.getMessage() for record in caplog.records if "become no token" in record.getMessage()]
    assert said.startswith("dataset.text: 64 of ") and "[' ', " in said


def test_words_that_are_cut_off_are_not_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def long(row: Row) -> Row:
        return {"tokens": row["tokens"] * 20, "tags": row["tags"] * 20}

    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare_with(tmp_path, "token-classification", long)
    assert not [record for record in caplog.records if "become no token" in record.getMessage()]


def test_tags_that_are_all_one_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def outside(row: Row) -> Row:
        return {**row, "tags": ["O"] * len(row["tags"])}

    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare_with(tmp_path, "token-classification", outside)
    (said,) = [record.getMessage() for record in caplog.records if "no metric tells" in record.getMessage()]
    assert "labels of the reported split 'test' are 'O'" in said


@pytest.mark.parametrize("split", ["test", "validation"])
def test_labels_of_texts_that_are_all_one_are_said(
    split: str, run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(run_files, early_stopping_patience=2)
    write_csv(tmp_path / "one.csv", [{"sentence": f"good word{row}", "label": 1} for row in range(9)])
    config["dataset"]["data_files"][split] = str(tmp_path / "one.csv")
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare(CompressionConfig.model_validate(config), tmp_path / "checkpoints")
    (said,) = [record.getMessage() for record in caplog.records if "no metric tells" in record.getMessage()]
    named = "the reported split 'test'" if split == "test" else "the validation split"
    assert said.startswith(f"dataset.label: all 9 labels of {named} are 'LABEL_1': ")
