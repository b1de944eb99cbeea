"""The steps `export` and `quantization` in any order, and one added to a run that had the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.run.directory.folder import RunDirectory
from minidisc_plugin.run.pipeline import compress
from minidisc_plugin.run.steps.report import Report
from tests.integrations.test_deployment import config_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (available("openvino_bits") and available("onnx")), reason="no host exports to OpenVINO and ONNX"
    ),
]


class Killed(BaseException):
    """Stands for a kill: nothing handles it."""


def steps_of(files: Path, folder: Path, kind: str, *steps: str) -> Any:
    """A run with these steps, and one format and one scheme of it."""
    scheme = next(name for name, way in WAYS.items() if way.of == kind and available(way.capability, way.route))
    sections = {"export": {"formats": [kind]}, "quantization": {"schemes": [scheme]}}
    given = {name: section for name, section in sections.items() if name in steps}
    return config_of(files, folder / "out", scheduler="direct", steps=list(steps), **given)


def check(result: Any, kind: str) -> None:
    """Everything is there, and measured once."""
    exported, runtimes = f"student-{kind}", [(row.role, row.runtime) for row in result.results.rows]
    assert len(runtimes) == len(set(runtimes)) == 5
    paths = [row.path for row in result.results.rows if row.path]
    assert exported in paths and all(any((result.output_dir / path).iterdir()) for path in paths)
    assert any(name.startswith(f"{exported}/") for name in RunDirectory(result.output_dir).written())


@pytest.mark.parametrize("kind", ["openvino", "onnx"])
def test_export_may_come_after_quantization(kind: str, run_files: Path, tmp_path: Path) -> None:
    check(compress(steps_of(run_files, tmp_path, kind, "quantization", "export")), kind)


@pytest.mark.parametrize("order", [("quantization", "export"), ("export", "quantization")])
@pytest.mark.parametrize("before", ["quantization", "export"])
def test_a_step_may_be_added_by_resume(
    before: str, order: tuple[str, str], run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Report, "run", kill)
        compress(steps_of(run_files, tmp_path, "openvino", before))
    check(compress(steps_of(run_files, tmp_path, "openvino", *order), resume=True), "openvino")
