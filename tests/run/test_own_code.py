"""A teacher whose class is code that comes with it goes through a run where that code is trusted, and not where not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

import minidisc_plugin
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.pipeline import Result, compress
from tests.builders.own_code import FILES, write_own_code
from tests.builders.tiny import make_config

IDS = torch.tensor([[2, 9, 17, 5, 3]])

ELSEWHERE = """
import sys
sys.modules["minidisc_plugin"] = None
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
save_file({"logits": model(**load_file("inputs")).logits.detach()}, "outputs")
"""


@pytest.fixture(scope="module")
def files(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a run, whose teacher comes with code."""
    folder = tmp_path_factory.mktemp("own") / "files"
    shutil.copytree(run_files, folder)
    teacher = folder / "teacher"
    (teacher / "model.safetensors").unlink()
    write_own_code(teacher)
    torch.manual_seed(0)
    read = AutoConfig.from_pretrained(teacher, trust_remote_code=True)
    AutoModelForSequenceClassification.from_config(read, trust_remote_code=True).save_pretrained(teacher)
    return folder


@pytest.fixture(scope="module")
def finished(files: Path) -> Result:
    return compress(CompressionConfig.model_validate(make_config(files, trust_remote_code=True)))


def test_a_run_that_trusts_the_code_makes_a_student(finished: Result, files: Path) -> None:
    assert finished.results.derived_family == "tiny_of_its_own"
    student = finished.output_dir / "student"
    assert {path.name for path in student.glob("*.py")} == {*FILES, "modeling_narrow.py"}
    for name in FILES:
        assert (student / name).read_bytes() == (files / "teacher" / name).read_bytes()
    assert type(finished.student).__name__ == "NarrowTinyForSequenceClassification"
    card = (finished.output_dir / "README.md").read_text(encoding="utf-8")
    assert 'minidisc_plugin.load("student", trust_remote_code=True)' in card


def test_its_student_computes_the_same_without_this_package(finished: Result, tmp_path: Path) -> None:
    save_file({"input_ids": IDS}, tmp_path / "inputs")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")}
    command = [sys.executable, "elsewhere.py", str(finished.output_dir / "student")]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    with torch.no_grad():
        expected = finished.student.eval()(input_ids=IDS).logits
    torch.testing.assert_close(load_file(tmp_path / "outputs")["logits"], expected, atol=1e-5, rtol=0)


def test_a_student_that_is_saved_again_loads_again(finished: Result, tmp_path: Path) -> None:
    loaded = minidisc_plugin.load(finished.output_dir / "student", trust_remote_code=True)
    loaded.save_pretrained(tmp_path / "again")
    again = minidisc_plugin.load(tmp_path / "again", trust_remote_code=True)
    with torch.no_grad():
        torch.testing.assert_close(again(input_ids=IDS).logits, finished.student.eval()(input_ids=IDS).logits)


def test_nobody_runs_the_code_unasked(finished: Result, files: Path) -> None:
    with pytest.raises(ConfigError, match="needs code of its own; set trust_remote_code: true if you trust it"):
        minidisc_plugin.load(finished.output_dir / "student")
    with pytest.raises(ConfigError, match="needs code of its own"):
        _ = Result(finished.output_dir).student
    with pytest.raises(ConfigError, match="needs code of its own"):
        compress(CompressionConfig.model_validate(make_config(files, output_dir=str(files / "untrusted"))))
    assert not (files / "untrusted").exists()


@pytest.mark.parametrize("step", ["export", "quantization"])
def test_steps_that_open_models_without_code_are_refused_before_training(step: str, files: Path) -> None:
    data = make_config(files, trust_remote_code=True, output_dir=str(files / "steps"), steps=[step])
    with pytest.raises(ConfigError, match=f"steps: '{step}' makes models that are opened without code of their own"):
        compress(CompressionConfig.model_validate(data))
    assert not (files / "steps").exists()


def test_a_finished_run_is_resumed_as_others_are(finished: Result, files: Path) -> None:
    before = (finished.output_dir / "results.json").read_bytes()
    compress(CompressionConfig.model_validate(make_config(files, trust_remote_code=True)), resume=True)
    assert (finished.output_dir / "results.json").read_bytes() == before


def test_its_student_is_a_teacher_in_turn(finished: Result, files: Path, tmp_path: Path) -> None:
    data = make_config(files, trust_remote_code=True, model=str(finished.output_dir / "student"))
    data |= {"scheduler": "direct", "scheduler_config": {}, "output_dir": str(tmp_path / "out")}
    smaller = compress(CompressionConfig.model_validate(data)).results.row("student")
    before = finished.results.row("student")
    assert smaller is not None
    assert before is not None
    assert (smaller.parameters or 0) < (before.parameters or 0)
