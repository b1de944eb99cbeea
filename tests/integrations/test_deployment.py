"""The steps `export` and `quantization` on a whole run: artefacts that work elsewhere, and rows that tell of them."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.elsewhere import Elsewhere
from minidisc_plugin.foundation.errors import ExportError, RunDirectoryError
from minidisc_plugin.integrations.export.route import route_for
from minidisc_plugin.integrations.hosts import available, require
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.nested.checkpoint import as_stock
from minidisc_plugin.run.measuring.measure import bytes_on_disk
from minidisc_plugin.run.pipeline import Result, compress
from minidisc_plugin.run.plan.plan import make_plan
from minidisc_plugin.tasks.registry import TASKS
from tests.builders.tiny import make_config

SENTENCES = ["word1 good word2", "awful word3", "word4 word5 nice word6 word7"]
SCHEMES = [name for name, way in WAYS.items() if available(way.capability, way.route)]
FOLDERS = ["student-openvino", "student-onnx", *(WAYS[scheme].folder for scheme in SCHEMES)]
# Blocks this package, then loads by the host alone, as its documentation says.
ELSEWHERE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "minidisc_plugin":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import json
from transformers import AutoTokenizer
folder, kind, host = sys.argv[1:4]
# On processors with bf16 instructions OpenVINO would compute in bf16.
exact = {"INFERENCE_PRECISION_HINT": "f32"}
if host == "transformers":
    from transformers.exporters import ExportedModel
    model = ExportedModel.from_pretrained(folder, **({"config": exact} if kind == "openvino" else {}))
elif kind == "openvino":
    from optimum.intel import OVModelForSequenceClassification
    model = OVModelForSequenceClassification.from_pretrained(folder, ov_config=exact)
else:
    from optimum.onnxruntime import ORTModelForSequenceClassification
    model = ORTModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer(json.loads(sys.argv[4]), padding=True, return_tensors="pt")
print(json.dumps(model(**batch).logits.tolist()))
"""

pytestmark = pytest.mark.skipif(
    not (available("openvino_bits") and available("onnx")), reason="no host exports to OpenVINO and ONNX"
)


def config_of(files: Path, folder: Path, **changes: Any) -> CompressionConfig:
    """A run with the settings of those steps only that it has."""
    steps = changes.pop("steps", ["export", "quantization"])
    sections = {
        "export": {"formats": ["openvino", "onnx"]},
        "quantization": {"schemes": SCHEMES, "calibration_examples": 40},
    }
    given = {name: changes.pop(name, section) for name, section in sections.items() if name in steps}
    return validate(CompressionConfig, make_config(files, output_dir=str(folder), steps=steps, **given, **changes))


@pytest.fixture(scope="module")
def deployed(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A finished run with every artefact, made from an empty working directory."""
    folder = tmp_path_factory.mktemp("deployed")
    elsewhere, before = folder / "cwd", Path.cwd()
    elsewhere.mkdir()
    os.chdir(elsewhere)
    try:
        result = compress(config_of(run_files, folder / "out"))
    finally:
        os.chdir(before)
    assert not list(elsewhere.iterdir()), "something was left in the working directory"
    return result


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as process:
        yield process


def batch_of(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)(SENTENCES, padding=True, return_tensors="pt")


def expected(result: Result) -> torch.Tensor:
    with torch.no_grad():
        return result.student(**batch_of(result.output_dir / "student")).logits


def test_every_artefact_has_a_row_next_to_the_teacher_in_its_runtime(deployed: Result) -> None:
    found = [(row.role, row.runtime) for row in deployed.results.rows]
    quantized = {
        engine: [("student", WAYS[scheme].runtime) for scheme in SCHEMES if WAYS[scheme].of == engine]
        for engine in ("openvino", "onnx", None)
    }
    assert found == [
        ("teacher", "torch fp32"),
        ("assistant", "torch fp32"),
        ("student", "torch fp32"),
        ("teacher", "OpenVINO fp32"),
        ("student", "OpenVINO fp32"),
        *quantized["openvino"],
        ("teacher", "ONNX fp32"),
        ("student", "ONNX fp32"),
        *quantized["onnx"],
        *quantized[None],
    ]
    for row in deployed.results.rows:
        assert None not in (row.metric, row.latency_ms_batch1, row.throughput_batch32, row.parameters)
        if row.path:
            assert row.bytes_on_disk == bytes_on_disk(deployed.output_dir / row.path)
    exact = {row.metric for row in deployed.results.rows if row.role == "student" and row.runtime.endswith("fp32")}
    assert len(exact) == 1
    assert {row.path for row in deployed.results.rows if row.path} >= set(FOLDERS)


def test_the_output_directory_holds_no_scratch(deployed: Result) -> None:
    assert {path.name for path in deployed.output_dir.iterdir()} == {
        *FOLDERS,
        "student",
        "assistant",
        "README.md",
        "run.json",
        "config.resolved.yaml",
        "schedule.json",
        "results.json",
        "tradeoff.png",
        "frontier.png",
    }
    card = (deployed.output_dir / "README.md").read_text(encoding="utf-8")
    assert "OpenVINO int8" in card and "ONNX fp32" in card


@pytest.mark.parametrize(("kind", "folder"), [("openvino", "student-openvino"), ("onnx", "student-onnx")])
def test_exports_load_where_this_package_is_absent(deployed: Result, kind: Any, folder: str, tmp_path: Path) -> None:
    arguments = [str(deployed.output_dir / folder), kind, require(kind), json.dumps(SENTENCES)]
    command = [sys.executable, "-c", ELSEWHERE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    logits = torch.tensor(json.loads(done.stdout.strip().splitlines()[-1]))
    assert torch.allclose(logits, expected(deployed), atol=2e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_fewer_bits_stay_close(deployed: Result, scheme: str) -> None:
    batch, logits = batch_of(deployed.output_dir / "student"), expected(deployed)
    with torch.no_grad():
        output = loader_of(scheme)(deployed.output_dir / WAYS[scheme].folder)(**batch)
    found = torch.as_tensor(output["logits"])
    assert (found - logits).abs().max() < 0.2 * logits.abs().max()
    assert not torch.equal(found, logits), "it is not quantized"
    assert (found.argmax(-1) == logits.argmax(-1)).all()


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if WAYS[scheme].of or scheme == "torchao_int8"])
def test_fewer_bits_load_where_this_package_is_absent(deployed: Result, elsewhere: Elsewhere, scheme: str) -> None:
    folder = deployed.output_dir / WAYS[scheme].folder
    batch = batch_of(deployed.output_dir / "student")
    if scheme == "torchao_int8":
        from minidisc_plugin.integrations import torchao

        opened = torchao.OPENED.format(auto_class="AutoModelForSequenceClassification")
    else:
        opened = route_for(WAYS[scheme].of, TASKS["text-classification"]()).opened
    with torch.no_grad():
        found = elsewhere.outputs(scheme, folder, opened, batch)["logits"]
    logits = expected(deployed)
    assert (found - logits).abs().max() < 0.2 * logits.abs().max() and not torch.equal(found, logits)


def loader_of(scheme: str) -> Any:
    if WAYS[scheme].of:
        return route_for(WAYS[scheme].of, TASKS["text-classification"]()).load
    if scheme == "torchao_int8":
        from minidisc_plugin.integrations import torchao

        return torchao.load
    from minidisc_plugin.integrations.inc import quantization

    return quantization.load


def test_a_narrow_model_poses_as_its_stock_class_only_for_exporters(deployed: Result) -> None:
    student = deployed.student
    stock = as_stock(student)
    assert type(stock).__module__.startswith("transformers.") and type(student) is not type(stock)
    assert stock.config is not student.config and "auto_map" not in stock.config.to_dict()


@pytest.mark.slow  # exports twice; `make faults` kills a run with exports before each operation
def test_a_run_cut_off_after_a_step_does_not_repeat_it(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(run_files, tmp_path / "out", scheduler="direct")
    exports: list[str] = []
    route = type(route_for("openvino", TASKS["text-classification"]()))
    export, quantize = route.export, route.quantize

    def counted(self: Any, model: Any, folder: Path, sample: Any) -> None:
        exports.append(folder.name)
        export(self, model, folder, sample)

    def stop(self: Any, scheme: str, *others: Any) -> None:
        if scheme == "openvino_static":
            raise KeyboardInterrupt
        quantize(self, scheme, *others)

    monkeypatch.setattr(route, "export", counted)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(route, "quantize", stop)
        compress(config)
    assert len(exports) == 2 and not (tmp_path / "out" / "student-openvino-static").exists()
    result = compress(config, resume=True)
    assert len(exports) == 2
    assert len(result.results.rows) == 6 + len(SCHEMES)  # teacher and student in torch, OpenVINO and ONNX
    plain = make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct")
    compress(CompressionConfig.model_validate(plain), overwrite=True)
    assert not set(FOLDERS) & {path.name for path in (tmp_path / "out").iterdir()}


def test_an_export_that_fails_costs_no_training(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The student is there; the run goes on without the step, or with it once the host works."""
    config = config_of(run_files, tmp_path / "out", scheduler="direct", steps=["export"])
    route = type(route_for("openvino", TASKS["text-classification"]()))

    def fail(self: Any, *others: Any) -> None:
        raise RuntimeError("Model wasn't fully converted.\nFailed operations: aten.linear")

    with (
        monkeypatch.context() as patch,
        pytest.raises(ExportError, match=r"student-openvino: .*fully converted"),
    ):
        patch.setattr(route, "export", fail)
        compress(config)
    student = bytes_of(tmp_path / "out" / "student")
    assert student and not (tmp_path / "out" / "student-openvino").exists()
    without = config_of(run_files, tmp_path / "out", scheduler="direct", steps=[])
    result = compress(without, resume=True)
    assert len(result.results.rows) == 2 and bytes_of(tmp_path / "out" / "student") == student
    assert compress(without, resume=True).results == result.results
    with pytest.raises(RunDirectoryError, match=r"a run with another export\.formats, steps"):  # it is finished
        compress(config, resume=True)


def test_an_export_that_computes_something_else_does_not_count(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(run_files, tmp_path / "out", scheduler="direct", steps=["export"])
    route = type(route_for("openvino", TASKS["text-classification"]()))
    export = route.export

    def other(self: Any, model: Any, folder: Path, sample: Any) -> None:
        changed = copy.deepcopy(model)
        with torch.no_grad():
            changed.classifier.bias.add_(0.1)
        export(self, changed, folder, sample)

    monkeypatch.setattr(route, "export", other)
    with pytest.raises(ExportError, match=r"its logits are 0\.1 off the student's .*does not count"):
        compress(config)
    assert not (tmp_path / "out" / "student-openvino").exists()


def test_one_that_cannot_be_opened_elsewhere_does_not_count(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(run_files, tmp_path / "out", scheduler="direct", steps=["export"])
    route = type(route_for("openvino", TASKS["text-classification"]()))
    monkeypatch.setattr(route, "opened", "def opened(folder):\n    import minidisc_plugin.nested")
    with pytest.raises(ExportError, match=r"a process without this package cannot open it .*No module named"):
        compress(config)
    monkeypatch.setattr(route, "opened", "def opened(folder):\n    import os; os._exit(3)")
    with pytest.raises(ExportError, match="it ended with status 3"):
        compress(config, resume=True)


def test_a_quantized_model_that_lost_too_much_is_kept_and_said(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quantization = {"schemes": ["openvino_int8"], "max_loss": 0.3}
    config = config_of(
        run_files, tmp_path / "out", scheduler="direct", steps=["quantization"], quantization=quantization
    )
    route = type(route_for("openvino", TASKS["text-classification"]()))
    load = route.load

    def wrong(self: Any, folder: Path) -> Any:
        model = load(self, folder)
        if "int8" not in folder.name:
            return model
        return lambda **batch: {"logits": -torch.as_tensor(model(**batch)["logits"])}

    monkeypatch.setattr(route, "load", wrong)
    result = compress(config)
    row = next(row for row in result.results.rows if row.runtime == "OpenVINO int8")
    student = result.results.row("student")
    assert student is not None and student.metric is not None and row.metric is not None
    assert row.lost == pytest.approx(student.metric - row.metric) and row.lost > 0.3 and row.lost_too_much
    assert "more than quantization.max_loss 0.3" in caplog.text
    assert (result.output_dir / "student-openvino-int8").is_dir()
    card = (result.output_dir / "README.md").read_text(encoding="utf-8")
    assert "(!) student, OpenVINO int8: accuracy lost" in card
    assert [other.runtime for other in result.results.rows if other.lost_too_much] == ["OpenVINO int8"]


def bytes_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_plan_lists_what_the_steps_write(run_files: Path, tmp_path: Path) -> None:
    writes = make_plan(config_of(run_files, tmp_path / "out")).writes
    assert {f"{folder}/" for folder in FOLDERS} <= writes.keys()
    assert "student/" in writes
