"""Altered copies are made of texts, and are compared for themselves: texts that give the same tokens may differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from minidisc_plugin import CompressionConfig
from minidisc_plugin.run.directory.record import ALTERED, RunRecord
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config, make_rows, write_csv


@pytest.fixture
def place(run_files: Path, tmp_path: Path) -> Path:
    """Files of a run whose tokenizer takes upper and lower case for the same."""
    for name in ("validation.csv", "test.csv"):
        shutil.copy(run_files / name, tmp_path)
    shutil.copytree(run_files / "teacher", tmp_path / "teacher")
    file = tmp_path / "teacher" / "tokenizer.json"
    held = json.loads(file.read_text(encoding="utf-8")) | {"normalizer": {"type": "Lowercase"}}
    file.write_text(json.dumps(held), encoding="utf-8")
    return tmp_path


def inputs_of(place: Path, change: Callable[[str], str]) -> Mapping[str, str]:
    rows = make_rows(60, seed=1)
    write_csv(place / "train.csv", [row | {"sentence": change(row["sentence"])} for row in rows])
    data = make_config(place, trainer="transformers", max_length=4, distillation={"augment": 1})
    return prepare(CompressionConfig.model_validate(data), place / "checkpoints").inputs


def as_it_was(text: str) -> str:
    return text


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: f"{text} word1 word1", id="behind max_length"),
        pytest.param(lambda text: text.title() if "word1" in text else text, id="case"),
        pytest.param(lambda text: f"{text}, {text}", id="twice, behind a comma"),
    ],
)
def test_texts_of_the_same_tokens_give_other_copies(change: Callable[[str], str], place: Path) -> None:
    before, after = (RunRecord(settings={}, inputs=dict(inputs_of(place, made))) for made in (as_it_was, change))
    assert before.differences(after) == ([], [ALTERED])


def test_the_same_texts_give_the_same_copies_and_former_records_told_none(place: Path) -> None:
    first, second = (dict(inputs_of(place, as_it_was)) for _ in range(2))
    assert first == second and ALTERED in first
    del first[ALTERED]
    assert RunRecord(settings={}, inputs=first).differences(RunRecord(settings={}, inputs=second)) == ([], [])
