"""Nothing that a config names runs code unless `trust_remote_code` says so."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import Trainer, TrainingArguments

from minidisc_plugin.cli import main
from tests.builders.tiny import make_bert, make_config

METRIC = """
import pathlib

import datasets
import evaluate

pathlib.Path({mark!r}).touch()

class Mine(evaluate.Metric):
    def _info(self):
        values = datasets.Features({{"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}})
        return evaluate.MetricInfo(description="", citation="", features=values)

    def _compute(self, predictions, references):
        return {{"{name}": sum(p == r for p, r in zip(predictions, references)) / len(references)}}
"""


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Is there once foreign code ran."""
    return tmp_path / "it-ran"


@pytest.fixture
def metric(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders `mine` and `accuracy` with metrics in the working directory."""
    for name in ("mine", "accuracy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(METRIC.format(mark=str(mark), name=name), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def run(files: Path, folder: Path, command: str = "plan", **changes: Any) -> int:
    config = make_config(files, output_dir=str(folder / "out"), scheduler="direct", scheduler_config={}, **changes)
    (folder / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return main([command, str(folder / "c.yaml"), *(["--no-calibration"] if command == "plan" else [])])


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    "name", ["./mine", "mine", "mine/mine.py", "./mine/mine.py", "ABSOLUTE", "./accuracy", "accuracy/"]
)
def test_a_metric_needs_consent(
    name: str, command: str, metric: None, mark: Path, run_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mark.parent
    name = str(folder / "mine") if name == "ABSOLUTE" else name
    assert run(run_files, folder, command, metric=name) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert repr(name) in line and "trust_remote_code: true" in line and "accuracy, " in line
    assert not mark.exists() and not (folder / "out").exists()


@pytest.mark.parametrize("name", ["someone/metric", "acuracy", "https://host/metric.py"])
def test_a_name_on_the_hub_needs_consent(
    name: str, mark: Path, run_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(run_files, mark.parent, metric=name) == 2
    assert "trust_remote_code: true" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["./mine", "mine/mine.py"])
def test_a_metric_with_consent_runs(name: str, metric: None, mark: Path, run_files: Path) -> None:
    metric_config = {"name": name, "range": [0, 1]}
    assert run(run_files, mark.parent, metric=metric_config, trust_remote_code=True) == 0
    assert mark.exists()


@pytest.mark.parametrize("trust", [False, True])
def test_a_shipped_metric_is_ours(trust: bool, metric: None, mark: Path, run_files: Path) -> None:
    assert run(run_files, mark.parent, metric="accuracy", trust_remote_code=trust) == 0
    assert not mark.exists()


def test_pickled_data_needs_consent(mark: Path, run_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = mark.parent
    (folder / "train.pkl").write_bytes(pickle.dumps(Evil(mark)))
    files = {"train": str(folder / "train.pkl"), "test": str(folder / "train.pkl")}
    dataset = {"path": "pandas", "data_files": files, "text": ["sentence"], "label": "label"}
    assert run(run_files, folder, dataset=dataset) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("minidisc: dataset.path: 'pandas' reads pickles") and "trust_remote_code: true" in line
    assert not mark.exists()


@pytest.mark.parametrize("path", ["csv", "folder"])
def test_scripts_beside_data_do_not_run(
    path: str, mark: Path, run_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with the name of a format, and one with a loading script, as datasets once ran them."""
    folder = mark.parent
    monkeypatch.chdir(folder)
    (folder / path).mkdir()
    (folder / path / f"{path}.py").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()", encoding="utf-8")
    (folder / f"{path}.py").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()", encoding="utf-8")
    if path == "csv":
        assert run(run_files, folder) == 0
    else:
        assert run(run_files, folder, dataset={"path": "folder", "text": ["sentence"], "label": "label"}) == 2
    assert not mark.exists()


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
def test_pickled_weights_do_not_run(file: str, mark: Path, run_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = mark.parent
    teacher = folder / "teacher"
    teacher.mkdir()
    for source in (run_files / "teacher").iterdir():
        if source.suffix != ".safetensors":
            (teacher / source.name).write_bytes(source.read_bytes())
    torch.save({"classifier.weight": Evil(mark)}, teacher / file)
    assert run(run_files, folder, model=str(teacher)) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not mark.exists()


def test_pickles_in_a_checkpoint_do_not_run(mark: Path) -> None:
    """What transformers' Trainer reads to go on."""
    folder = mark.parent / "checkpoint-1"
    trainer = Trainer(make_bert(), TrainingArguments(str(mark.parent), report_to="none", use_cpu=True))
    trainer.create_optimizer_and_scheduler(2)
    trainer.save_model(str(folder))
    for name in ("rng_state.pth", "optimizer.pt", "scheduler.pt", "training_args.bin"):
        torch.save({"x": Evil(mark)}, folder / name)
    for read in (trainer._load_rng_state, trainer._load_optimizer_and_scheduler, trainer._load_from_checkpoint):
        try:
            read(str(folder))
        except pickle.UnpicklingError:
            assert read != trainer._load_from_checkpoint
    assert not mark.exists()
