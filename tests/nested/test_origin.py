"""The folder that a model names is the one that holds its weights, or none: other tools read them again from there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments

from minidisc_plugin import NestedModel, load
from tests.builders.zoo import here, later_slow, make_model


def named(model: PreTrainedModel) -> set[str]:
    """Every folder that a model, its parts and their configs name."""
    return {
        str(holder.name_or_path)
        for module in model.modules()
        for holder in (module, *configs(getattr(module, "config", None)))
        if hasattr(holder, "name_or_path")
    }


def configs(config: Any) -> Iterator[PretrainedConfig]:
    if isinstance(config, PretrainedConfig):
        yield config
        for part in vars(config).values():
            yield from configs(part)


@pytest.fixture
def teacher(tmp_path: Path) -> PreTrainedModel:
    make_model("bert").save_pretrained(tmp_path / "teacher")
    return load(tmp_path / "teacher")


@pytest.mark.parametrize("case", later_slow(here()))
def test_a_slice_names_no_folder(case: str, tmp_path: Path) -> None:
    model = make_model(case)
    model.save_pretrained(tmp_path / "teacher")
    loaded = type(model).from_pretrained(tmp_path / "teacher")
    assert named(loaded) == {str(tmp_path / "teacher")}
    student = NestedModel(copy.deepcopy(loaded), allocation="uniform").extract(0.5)
    assert named(student) == {""}
    assert named(loaded) == {str(tmp_path / "teacher")}, "the teacher's are its own"


def test_a_saved_slice_names_its_folder_and_a_loaded_one_too(teacher: PreTrainedModel, tmp_path: Path) -> None:
    student = NestedModel(teacher).extract(0.4)
    student.save_pretrained(tmp_path / "student")
    assert named(student) == {str(tmp_path / "student")}
    assert named(load(tmp_path / "student")) == {str(tmp_path / "student")}


def test_checkpoints_of_a_trainer_are_not_where_a_model_lies(teacher: PreTrainedModel, tmp_path: Path) -> None:
    student = NestedModel(teacher).extract(0.4)
    trainer = Trainer(student, TrainingArguments(str(tmp_path / "out"), report_to=[]))
    trainer.save_model(str(tmp_path / "out" / "checkpoint-20"))
    assert named(student) == {""}
    trainer.save_model(str(tmp_path / "out"))
    assert named(student) == {str(tmp_path / "out")}
