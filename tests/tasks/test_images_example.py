"""The example of images, on a teacher that has seen its digits once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.records import read_results

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "images"


@pytest.mark.quick_on("inc")
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("images_prepare", EXAMPLE / "prepare.py")
    assert spec is not None and spec.loader is not None
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    monkeypatch.setattr(sys, "argv", ["prepare.py", "--epochs", "3"])
    prepare.main()
    assert "1,197 train, 100 validation, 500 test" in capsys.readouterr().out
    prepare.main()
    assert "images-teacher is ready, skipped" in capsys.readouterr().out
    changes = ["--set", "steps=[]", "--set", "training.max_steps=20", "--set", "training.num_train_epochs=1"]
    assert main(["run", str(EXAMPLE / "compression.yaml"), *changes]) == 0
    results = read_results("runs/images")
    teacher, student = results.row("teacher"), results.row("student")
    assert teacher is not None and teacher.metric is not None and teacher.metric > 0.3  # chance is 0.1
    assert student is not None and student.metric is not None and results.examples == 500
