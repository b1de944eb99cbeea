"""A teacher of half precision: trained from in single precision, and its student saved, and measured, in its own."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

import minidisc_plugin
from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.foundation.model_files.types import in_type, student_type, trained_type
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.run.pipeline import Result
from minidisc_plugin.run.preparation import prepare
from tests.builders.teachers import load_teacher, read_teacher
from tests.builders.tiny import make_bert, make_config

KINDS = ["float16", "bfloat16"]


def make_half(run_files: Path, folder: Path, kind: str) -> Path:
    """The teacher of a run, saved in half precision, with its tokenizer."""
    shutil.copytree(run_files / "teacher", folder)
    model = load_teacher(str(folder), False)
    model.to(getattr(torch, kind)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def finished(request: pytest.FixtureRequest, run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A whole run on such a teacher."""
    folder = tmp_path_factory.mktemp(request.param)
    teacher = make_half(run_files, folder / "teacher", request.param)
    return compress(
        CompressionConfig.model_validate(make_config(run_files, model=str(teacher), output_dir=str(folder / "out")))
    )


def kind_of(folder: Path) -> str:
    """The type of every weight in a folder, and of its config."""
    kinds = {str(value.dtype) for value in load_file(folder / "model.safetensors").values()}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kinds |= {f"torch.{config.get('dtype') or config['torch_dtype']}"}
    (kind,) = kinds
    return kind.removeprefix("torch.")


def accuracy(model: PreTrainedModel, run_files: Path) -> float:
    """Of a model on the test split, counted by hand."""
    tokenizer = AutoTokenizer.from_pretrained(run_files / "teacher")
    with (run_files / "test.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    batch = tokenizer([row["sentence"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        found = model(**batch).logits.argmax(-1)
    return sum(int(row["label"]) == label for row, label in zip(rows, found.tolist(), strict=True)) / len(rows)


def test_what_is_saved_is_of_the_teachers_type(finished: Result, run_files: Path) -> None:
    kind = kind_of(teacher_of(finished))
    assert kind in KINDS
    for role in ("assistant", "student"):
        folder = finished.output_dir / role
        row = finished.results.row(role)
        assert row is not None and kind_of(folder) == kind
        assert row.bytes_on_disk == (folder / "model.safetensors").stat().st_size
        loaded = minidisc_plugin.load(folder)
        assert str(loaded.dtype) == f"torch.{kind}"
        assert accuracy(loaded, run_files) == pytest.approx(row.metric, abs=1e-6)
        options = {"dtype" if hasattr(loaded.config, "dtype") else "torch_dtype": "auto", "trust_remote_code": True}
        elsewhere = AutoModelForSequenceClassification.from_pretrained(folder, **options)
        assert elsewhere.dtype == loaded.dtype and accuracy(elsewhere, run_files) == accuracy(loaded, run_files)
    row = finished.results.row("teacher")
    assert row is not None and row.metric == pytest.approx(
        accuracy(load_teacher(str(teacher_of(finished)), False), run_files)
    )


def teacher_of(result: Result) -> Path:
    return result.output_dir.parent / "teacher"


def test_it_is_trained_in_single_precision(finished: Result, run_files: Path, tmp_path: Path) -> None:
    written = yaml.safe_load((finished.output_dir / "config.resolved.yaml").read_text(encoding="utf-8"))
    assert written["engine"]["weights"] == "float32"
    config = make_config(run_files, model=str(teacher_of(finished)), output_dir=str(tmp_path / "out"))
    prepared = prepare(CompressionConfig.model_validate(config), tmp_path)
    assert prepared.teacher.dtype == torch.float32 and prepared.saved_type == kind_of(teacher_of(finished))
    config["engine"] = {"weights": "bfloat16"}
    assert prepare(CompressionConfig.model_validate(config), tmp_path).teacher.dtype == torch.bfloat16


def test_which_type_is_trained_and_which_is_saved() -> None:
    for half in KINDS:
        assert trained_type(None, half, 110_000_000) == "float32" and student_type(half) == half
        assert trained_type(None, half, 1_235_814_400) == "bfloat16"
        assert trained_type("float32", half, 1_235_814_400) == "float32"
        assert trained_type("bfloat16", half, 10) == "bfloat16"
    for full in ("float32", "float64"):
        assert trained_type(None, full, 1_235_814_400) == "float32" == student_type(full)


def test_weights_that_a_type_cannot_hold_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    model = make_bert()
    with torch.no_grad():
        model.classifier.weight[0, 0] = 1e5
    assert in_type(model, "bfloat16").dtype == torch.bfloat16 and model.dtype == torch.float32
    assert in_type(model, "float32") is model
    assert in_type(model, "float16") is model and "float16 cannot hold every weight" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_types_go_by_most_weights(kind: str, run_files: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    teacher = make_half(run_files, tmp_path / "teacher", kind)
    held = load_file(teacher / "model.safetensors")
    held["classifier.weight"] = held["classifier.weight"].float() + 1e-4
    save_file(held, teacher / "model.safetensors", metadata={"format": "pt"})
    model, saved = read_teacher(str(teacher), False)
    assert saved == kind and model.dtype == torch.float32
    assert torch.equal(model.classifier.weight, held["classifier.weight"])
    assert {parameter.dtype for parameter in load_teacher(str(teacher), False).parameters()} == {getattr(torch, kind)}


@pytest.mark.slow
@pytest.mark.skipif(not available("openvino"), reason="OpenVINO is not installed")
def test_exports_start_from_the_saved_weights(run_files: Path, tmp_path: Path) -> None:
    teacher = make_half(run_files, tmp_path / "teacher", "bfloat16")
    schemes = ["openvino_int8", *(["inc_dynamic"] if available("host", "inc") else [])]
    changes = {"steps": ["export", "quantization"], "quantization": {"schemes": schemes}}
    result = compress(
        CompressionConfig.model_validate(
            make_config(run_files, model=str(teacher), output_dir=str(tmp_path / "out"), **changes)
        )
    )
    rows = {(row.role, row.runtime): row for row in result.results.rows}
    assert kind_of(result.output_dir / "student") == "bfloat16"
    widened = accuracy(minidisc_plugin.load(result.output_dir / "student", dtype=torch.float32), run_files)
    assert rows["student", "OpenVINO fp32"].metric == pytest.approx(widened, abs=1e-6)
    assert {runtime for _, runtime in rows} >= {"OpenVINO fp32", "OpenVINO int8"}
