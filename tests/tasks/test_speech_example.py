"""The example of speech, on a teacher that has heard its numbers twice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.records import read_results

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "speech"


@pytest.mark.quick_on("inc")
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("speech_prepare", EXAMPLE / "prepare.py")
    assert spec is not None and spec.loader is not None
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    monkeypatch.setattr(prepare, "SPLITS", {"train": 160, "validation": 20, "test": 40})
    monkeypatch.setattr(sys, "argv", ["prepare.py", "--epochs", "2"])
    prepare.main()
    assert "160 train, 20 validation, 40 test" in capsys.readouterr().out
    prepare.main()
    assert "speech-teacher is ready, skipped" in capsys.readouterr().out
    changes = ["--set", "steps=[]", "--set", "training.max_steps=5", "--set", "training.num_train_epochs=1"]
    assert main(["run", str(EXAMPLE / "compression.yaml"), *changes]) == 0
    results = read_results("runs/speech")
    student = results.row("student")
    assert student is not None and student.metric is not None and results.examples == 40
    assert set(student.texts) == {"wer"} and results.audio_size == (80, 100)
