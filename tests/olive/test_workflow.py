"""The example's workflow by `olive run`, on a tiny model: MiniDisc, then ONNX, then 8 bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from minidisc_plugin import load
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.records import read_results, read_schedule
from tests.builders.tiny import make_rows

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "olive"
SENTENCES = [row["sentence"] for row in make_rows(5, 7)]


@dataclass
class Done:
    """A workflow that was run.

    Attributes:
        folder: The working directory.
        models: Folder of what each pass made, by its type in small letters.
    """

    folder: Path
    models: Mapping[str, Path]


def olive_run(workflow: Mapping[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a workflow by the command line, in a folder."""
    assert main(["olive-package", "--out", str(folder / "package.json")]) == 0
    (folder / "workflow.json").write_text(json.dumps(workflow), encoding="utf-8")
    command = [sys.executable, "-m", "olive", "run", "--config", "workflow.json", "--package-config", "package.json"]
    return subprocess.run(command, cwd=folder, env={**os.environ, "CI": "true"}, capture_output=True, text=True)


def example_on(files: Path) -> dict[str, Any]:
    """The example's workflow on the tiny model and data, with a scale for each thing that is too small for its own."""
    workflow: dict[str, Any] = json.loads((EXAMPLE / "workflow.json").read_text(encoding="utf-8"))
    workflow["input_model"]["model_path"] = str(files / "teacher")
    student = workflow["passes"]["student"]
    student["dataset"]["data_files"] = {
        split: str(files / f"{split}.csv") for split in student["dataset"]["data_files"]
    }
    student["pruning"]["target_sparsity"] = 0.8
    student["scheduler_config"]["candidates"] = [0.6, 0.4]
    student["training"] |= {"num_train_epochs": 1, "learning_rate": 1e-3}
    student["max_length"] = 32
    return workflow


@pytest.fixture(scope="module")
def done(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("olive")
    finished = olive_run(example_on(run_files), folder)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("runs/olive-cache/*/runs/*/run.json")]
    place = folder / "runs" / "olive-cache" / "default_workflow" / "runs"
    return Done(folder, {run["pass_name"]: place / run["output_model_id"] / "models" for run in runs})


def logits_of_torch(folder: Path) -> np.ndarray:
    model = load(folder).eval()
    with torch.no_grad():
        logits: np.ndarray = model(**batch_of(folder, "pt")).logits.numpy()
    return logits


def logits_of_onnx(folder: Path, tokenizer: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    wanted = {given.name for given in session.get_inputs()}
    batch = {key: value for key, value in batch_of(tokenizer, "np").items() if key in wanted}
    logits: np.ndarray = session.run(["logits"], batch)[0]
    return logits


def batch_of(folder: Path, kind: str) -> Any:
    """Sentences of several lengths, padded: neither the batch nor the length is one that Olive traced."""
    return AutoTokenizer.from_pretrained(folder)(SENTENCES, padding=True, return_tensors=kind)


def test_the_student_becomes_onnx_and_8_bits(done: Done) -> None:
    student = done.models["minidisc"]
    expected = logits_of_torch(student)
    assert np.abs(expected).max() > 0.1, "models whose logits are all but zero agree whatever they are"
    onnx, int8 = done.models["onnxconversion"], done.models["onnxdynamicquantization"]
    np.testing.assert_allclose(logits_of_onnx(onnx, student), expected, atol=1e-4)
    in_8_bits = logits_of_onnx(int8, student)
    np.testing.assert_allclose(in_8_bits, expected, atol=0.2)
    assert np.abs(in_8_bits - expected).max() > 1e-5, "nothing was quantized"
    np.testing.assert_array_equal(logits_of_onnx(done.folder / "runs" / "olive", student), in_8_bits)


def test_the_student_is_one_of_hugging_face_with_its_own_code(done: Done) -> None:
    student = done.models["minidisc"]
    elsewhere = AutoModelForSequenceClassification.from_pretrained(student, trust_remote_code=True).eval()
    with torch.no_grad():
        logits = elsewhere(**batch_of(student, "pt")).logits.numpy()
    np.testing.assert_allclose(logits, logits_of_torch(student), atol=1e-6)


def test_records_and_tokenizer_go_with_the_student_to_the_end(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    output = done.folder / "runs" / "olive"
    schedule, results = read_schedule(output), read_results(output)
    assert schedule.scheduler == "minidisc" and len(schedule.assistants) == 1
    assert results.row("teacher") is not None and results.row("student") is not None
    assert {"tradeoff.png", "frontier.png", "tokenizer.json", "config.json"} <= {path.name for path in output.iterdir()}
    assert not [row.path for row in results.rows if row.path], "folders of the run, which is gone"
    assert main(["report", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "teacher" in printed and "student" in printed
    assert AutoTokenizer.from_pretrained(output)("good")["input_ids"]


def test_nothing_else_is_left(done: Done) -> None:
    assert {path.name for path in done.folder.iterdir()} == {"workflow.json", "package.json", "runs"}
    assert {path.name for path in (done.folder / "runs").iterdir()} == {"olive", "olive-cache"}
    assert not [path for path in done.folder.rglob("*") if "-minidisc" in path.name or path.name.startswith(".tmp-")]


def test_a_workflow_with_an_unknown_key_fails_with_a_line_that_names_it(run_files: Path, tmp_path: Path) -> None:
    workflow = example_on(run_files)
    workflow["passes"]["student"]["prunning"] = workflow["passes"]["student"]["pruning"]
    finished = olive_run(workflow, tmp_path)
    assert finished.returncode != 0
    lines = (finished.stdout + finished.stderr).splitlines()  # on Python 3.12 the host's own exit may add to them
    assert any(line.endswith("prunning: unknown key; did you mean 'pruning'?") for line in lines)
    assert not list(tmp_path.rglob("models"))
