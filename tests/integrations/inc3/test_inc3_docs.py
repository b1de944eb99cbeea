"""The page and the example for Neural Compressor 3.8 and newer run as they stand, on the tiny model and data."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin import load
from tests.builders.script import teacher_of
from tests.integrations.inc3.making import accuracy_on, inputs, size

ROOT = Path(__file__).resolve().parents[3]


def test_the_pages_code(run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8")
    section = re.search(r"^## Neural Compressor 3\.8 and newer\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    given = inputs(run_files, tmp_path / "out")
    names: dict[str, Any] = {
        "teacher": teacher_of(run_files),
        "train": given["train_dataset"],
        "training_arguments": given["args"],
        "compute_metrics": given["compute_metrics"],
        "tokenizer": given["processing_class"],
        "accuracy": accuracy_on(run_files),
    }
    blocks = re.findall(r"^```python\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "hosts.md", "exec"), names)
        student = load(tmp_path / "student")
        assert size(student) < 0.7 * size(names["teacher"])
    assert names["accuracy"](names["small"]) > 0.9


@pytest.mark.slow
def test_the_example(run_files: Path, tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "neural_compressor" / "autotune.py")
    command = [sys.executable, script, "--teacher", str(run_files / "teacher"), "--data", str(run_files)]
    command += ["--output", str(tmp_path / "out"), "--epochs", "1", "--sparsities", "0.5", "0.8"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    found = re.search(r"^parameters: ([\d,]+) of ([\d,]+)$", done.stdout, re.MULTILINE)
    assert found is not None
    student, teacher = (int(count.replace(",", "")) for count in found.groups())
    assert size(load(tmp_path / "out" / "student")) == student < 0.9 * teacher
