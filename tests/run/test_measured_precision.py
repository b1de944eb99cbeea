"""`engine.half_precision: auto` on a CUDA device takes what is faster there, says so, and keeps to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.run.pipeline import compress
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config

pytestmark = pytest.mark.gpu


def config_of(run_files: Path, out: Path) -> CompressionConfig:
    data: dict[str, Any] = make_config(run_files, output_dir=str(out), trainer="transformers")
    data["training"].pop("use_cpu", None)
    return CompressionConfig.model_validate(data)


def test_both_are_measured_and_told(run_files: Path, tmp_path: Path) -> None:
    result = compress(config_of(run_files, tmp_path / "out"))
    found = result.results.half_precision
    assert set(found) == {"fp32", "bf16"} and min(found.values()) > 0
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.8
    assert student.throughput_saturated is not None and student.saturating_batch is not None
    assert student.latency_ms_graph is not None and student.saturated_gib is not None


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_goes_on_keeps_to_what_it_began_with(run_files: Path, tmp_path: Path, begun: bool) -> None:
    prepared = prepare(config_of(run_files, tmp_path / "out"), tmp_path / "checkpoints", begun)
    assert prepared.args.bf16 is begun and prepared.precisions == {}
    assert prepared.config.training.get("bf16", False) is begun
