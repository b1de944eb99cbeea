"""Resuming: over the same inputs only, from files that are what they were, wherever the run lies now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from minidisc_plugin import CompressionConfig, compress, load
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.steps.distil import Distil
from tests.builders.tiny import make_config, make_rows, write_csv


class Killed(BaseException):
    """Stands for a kill: nothing handles it."""


@pytest.fixture(scope="module")
def cut_off(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with inputs, a run that was killed before its student's stage in `out`, and a whole one in `whole`."""
    folder = tmp_path_factory.mktemp("cut_off")
    for name in ("train.csv", "validation.csv", "test.csv"):
        shutil.copy(run_files / name, folder)
    shutil.copytree(run_files / "teacher", folder / "teacher")
    with pytest.MonkeyPatch.context() as patch:

        def kill(*arguments: Any) -> None:
            raise Killed

        patch.setattr(Distil, "run", kill)
        with pytest.raises(Killed):
            compress(config_of(folder))
    compress(config_of(folder, output_dir=str(folder / "whole")))
    return folder


@pytest.fixture
def place(cut_off: Path, tmp_path: Path) -> Path:
    """A copy of it, so a run that was moved."""
    return shutil.copytree(cut_off, tmp_path / "moved")


def config_of(folder: Path, **changes: Any) -> CompressionConfig:
    return CompressionConfig.model_validate(make_config(folder, trainer="transformers", **changes))


def test_a_run_that_was_moved_ends_as_one_that_was_not_cut_off(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(place / "out", place / "elsewhere")
    monkeypatch.chdir(place)  # inputs by other names: what they hold decides
    result = compress(config_of(Path(), output_dir="elsewhere", training={**TRAINING, "logging_steps": 3}), resume=True)
    expected = load(place / "whole" / "student").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in result.student.state_dict().items())
    assert sorted(path.name for path in (place / "elsewhere").iterdir()) == sorted(
        path.name for path in (place / "whole").iterdir()
    )


TRAINING = make_config(Path())["training"]


def rows(place: Path, name: str) -> None:
    write_csv(place / f"{name}.csv", make_rows(240 if name == "train" else 48, seed=9))


def weights(place: Path) -> None:
    model = load(place / "teacher")
    with torch.no_grad():
        model.classifier.bias[0] += 0.01
    model.save_pretrained(place / "teacher")


def tokenizer(place: Path) -> None:
    found = AutoTokenizer.from_pretrained(place / "teacher")
    found.add_special_tokens({"mask_token": "[UNK]"})
    found.save_pretrained(place / "teacher")


def tokenizer_setting(place: Path, **settings: Any) -> None:
    file = place / "teacher" / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda place: rows(place, "train"), "dataset (split to train on)"),
        (lambda place: rows(place, "validation"), "dataset (validation split)"),
        (lambda place: rows(place, "test"), "dataset (reported split)"),
        (weights, "model"),
        (tokenizer, "tokenizer"),
        (lambda place: tokenizer_setting(place, truncation_side="left"), "tokenizer"),
    ],
)
def test_inputs_that_changed_under_the_same_path_are_named(
    change: Callable[[Path], None], named: str, place: Path
) -> None:
    change(place)
    with pytest.raises(RunDirectoryError) as caught:
        compress(config_of(place), resume=True)
    message = str(caught.value)
    assert f"begun with another {named};" in message and "--overwrite" in message and "\n" not in message


@pytest.mark.parametrize("file", ["ranking.safetensors", "sandwich/weights.safetensors", "journal.json"])
@pytest.mark.parametrize("damage", ["cut", "zeros", "bit", "gone"])
def test_a_damaged_file_is_named(file: str, damage: str, place: Path) -> None:
    path = place / "out" / "checkpoints" / file
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    changed = {"cut": data[: len(data) // 2], "zeros": bytes(len(data)), "bit": data}
    path.unlink() if damage == "gone" else path.write_bytes(changed[damage])
    if (file, damage) == ("journal.json", "gone"):  # the stages are done again
        compress(config_of(place), resume=True)
        return
    if (file, damage) == ("journal.json", "bit"):
        path.write_text(path.read_text(encoding="latin-1").replace("result", "resolt"), encoding="utf-8")
    with pytest.raises(RunDirectoryError) as caught:
        compress(config_of(place), resume=True)
    message = str(caught.value)
    assert str(path) in message and "--overwrite" in message and "\n" not in message


def test_a_finished_run_with_a_damaged_student_is_not_finished(place: Path) -> None:
    (place / "whole" / "student" / "model.safetensors").write_bytes(b"")
    with pytest.raises(RunDirectoryError, match=r"model\.safetensors is damaged; restore it, or repeat the run"):
        compress(config_of(place, output_dir=str(place / "whole")), resume=True)


def test_a_finished_run_is_done_although_its_checkpoints_are_half_removed(place: Path) -> None:
    (place / "whole" / "checkpoints" / "student").mkdir(parents=True)
    (place / "whole" / "checkpoints" / "journal.json").write_text("{}")
    before = (place / "whole" / "results.json").stat().st_mtime_ns
    result = compress(config_of(place, output_dir=str(place / "whole")), resume=True)
    assert (result.output_dir / "results.json").stat().st_mtime_ns == before
    assert not (place / "whole" / "checkpoints").exists()


@pytest.mark.parametrize("left", ["", "checkpoints"])
def test_a_finished_run_without_its_config_gets_it_again(place: Path, left: str) -> None:
    whole = place / "whole"
    written = read_config(whole / "config.resolved.yaml")
    (whole / "config.resolved.yaml").unlink()
    if left:
        (whole / left).mkdir(exist_ok=True)
        (whole / left / "journal.json").write_text("{}")
    compress(config_of(place, output_dir=str(whole)), resume=True)
    again = read_config(whole / "config.resolved.yaml")
    moved = {"model", "dataset", "output_dir"}  # what the run is made from was moved
    assert again.model_dump(exclude=moved) == written.model_dump(exclude=moved)
    assert not (whole / "checkpoints").exists()


def test_the_record_tells_what_the_run_was_made_from(place: Path) -> None:
    record = json.loads((place / "whole" / "run.json").read_text(encoding="utf-8"))
    assert {"model", "tokenizer", "dataset (split to train on)"} <= record["inputs"].keys()
    assert record["finished"] and record["settings"]["training.seed"] == 0
    listed = {path.relative_to(place / "whole").as_posix() for path in (place / "whole").rglob("*") if path.is_file()}
    assert listed - {"run.json"} == record["files"].keys()


def test_the_students_tokenizer_is_the_teachers_whatever_it_was_called_with(place: Path) -> None:
    student, teacher = (
        json.loads((at / "tokenizer.json").read_text()) for at in (place / "whole/student", place / "teacher")
    )
    assert student == teacher


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_whose_record_is_lost_is_refused_with_what_helps(place: Path, resume: bool) -> None:
    (place / "whole" / "run.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"without run\.json.*restore that file, remove the folder"):
        compress(config_of(place, output_dir=str(place / "whole")), resume=resume)


def killed_with(place: Path, monkeypatch: pytest.MonkeyPatch, unlabelled: Path | None, **changes: Any) -> Any:
    """A run that is killed before its student's stage, and the config to go on with."""
    data = make_config(place, trainer="transformers", output_dir=str(place / "further"), **changes)
    if unlabelled is not None:
        data["dataset"]["data_files"]["unlabelled"] = str(unlabelled)
    config = CompressionConfig.model_validate(data)

    def kill(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Distil, "run", kill)
        with pytest.raises(Killed):
            compress(config)
    return config


@pytest.mark.slow
def test_further_texts_that_changed_are_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(seed: int) -> None:
        write_csv(place / "more.csv", [{"sentence": row["sentence"]} for row in make_rows(40, seed=seed)])

    write(5)
    config = killed_with(place, monkeypatch, place / "more.csv", distillation={"augment": 1})
    write(6)
    with pytest.raises(RunDirectoryError, match=r"begun with another dataset \(unlabelled split\);"):
        compress(config, resume=True)
    write(5)
    other = config.model_copy(update={"distillation": config.distillation.model_copy(update={"augment": 2})})
    with pytest.raises(RunDirectoryError, match=r"distillation\.augment"):
        compress(other, resume=True)
    resumed = compress(config, resume=True).student.state_dict()
    whole = compress(config.model_copy(update={"output_dir": str(place / "again")})).student.state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


def test_further_texts_come_too_late_for_a_run_that_was_begun_without(place: Path) -> None:
    data = make_config(place, trainer="transformers")
    write_csv(place / "more.csv", [{"sentence": "good word1"}])
    data["dataset"]["data_files"]["unlabelled"] = str(place / "more.csv")
    with pytest.raises(RunDirectoryError, match=r"begun with another dataset \(unlabelled split\);"):
        compress(CompressionConfig.model_validate(data), resume=True)
