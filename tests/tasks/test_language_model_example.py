"""The example of language models, on a teacher that has read a few sentences once."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.records import read_results
from tests.builders.tiny import BAD, GOOD, OTHER

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "language_model"


@pytest.mark.quick_on("inc")
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("language_model_prepare", EXAMPLE / "prepare.py")
    assert spec is not None and spec.loader is not None
    prepare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(prepare)
    chosen = random.Random(0)
    texts = [" ".join(chosen.choices([*GOOD, *BAD, *OTHER[:20]], k=6)) for _ in range(200)]
    monkeypatch.setattr(prepare, "read_sentences", lambda archive: list(texts))  # what else would be fetched
    monkeypatch.setattr(prepare, "SPLITS", {"test": 40, "validation": 20})
    monkeypatch.setattr(sys, "argv", ["prepare.py", "--epochs", "1"])
    prepare.main()
    assert "40 test, 20 validation, 140 train" in capsys.readouterr().out
    prepare.main()
    assert "language-model-teacher is ready, skipped" in capsys.readouterr().out
    changes = ["--set", "training.max_steps=5", "--set", "training.num_train_epochs=1"]
    assert main(["run", str(EXAMPLE / "compression.yaml"), *changes]) == 0
    results = read_results("runs/language-model")
    student, teacher = results.row("student"), results.row("teacher")
    assert student is not None and student.perplexity is not None and results.examples == 40
    assert teacher is not None and teacher.parameters > student.parameters
