"""`engine.half_precision: auto` takes what is faster on the device, says so, and keeps to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.run.measuring import precision
from minidisc_plugin.run.pipeline import compress
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.training.precision import cpu_has_bf16, is_measured
from tests.builders.tiny import make_config

BOTH = {"fp32", "bf16"}
# Of two stages, each: from 500 steps on a processor is asked too.
LONG = {"max_steps": 250}

on_bf16_cpu = pytest.mark.skipif(not cpu_has_bf16(), reason="wants a processor with instructions for bf16")
devices = pytest.mark.parametrize(
    "cpu", [pytest.param(True, marks=on_bf16_cpu), pytest.param(False, marks=pytest.mark.gpu)], ids=["cpu", "cuda"]
)


def config_of(
    run_files: Path, out: Path, cpu: bool, trainer: str = "transformers", **training: Any
) -> CompressionConfig:
    data: dict[str, Any] = make_config(run_files, output_dir=str(out), trainer=trainer)
    data["training"] |= {"use_cpu": cpu, **training}
    return CompressionConfig.model_validate(data)


def prepared_on_cpu(run_files: Path, tmp_path: Path, **changes: Any) -> Prepared:
    return prepare(config_of(run_files, tmp_path / "out", True, **changes), tmp_path / "checkpoints")


@pytest.mark.gpu
def test_both_are_measured_and_told(run_files: Path, tmp_path: Path) -> None:
    result = compress(config_of(run_files, tmp_path / "out", False))
    found = result.results.half_precision
    assert set(found) == BOTH and min(found.values()) > 0
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.8
    assert student.throughput_saturated is not None and student.saturating_batch is not None
    assert student.latency_ms_graph is not None and student.saturated_gib is not None


@on_bf16_cpu
def test_both_are_measured_on_a_processor_that_has_time(run_files: Path, tmp_path: Path) -> None:
    result = compress(config_of(run_files, tmp_path / "out", True, **LONG))
    found = result.results.half_precision
    assert set(found) == BOTH and min(found.values()) > 0
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.8


@on_bf16_cpu
@pytest.mark.parametrize(("bf16", "pays"), [(0.79, True), (0.81, False), (1.2, False)])
def test_the_faster_is_taken_where_it_gains_a_quarter(
    bf16: float, pays: bool, run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"fp32": 1.0, "bf16": bf16}
    monkeypatch.setattr(precision, "_measured", lambda *args: found)
    prepared = prepared_on_cpu(run_files, tmp_path, **LONG)
    assert prepared.precisions == found
    assert (prepared.args.bf16, prepared.config.training.get("bf16", False)) == (pays, pays)


@on_bf16_cpu
def test_a_short_run_on_a_processor_is_not_held_up(run_files: Path, tmp_path: Path) -> None:
    prepared = prepared_on_cpu(run_files, tmp_path, max_steps=249)
    assert is_measured(prepared.config) and not prepared.args.bf16 and prepared.precisions == {}


@on_bf16_cpu
@pytest.mark.skipif(not available("host", "inc"), reason="wants INC's trainer")
def test_the_host_s_trainer_is_left_alone(run_files: Path, tmp_path: Path) -> None:
    prepared = prepared_on_cpu(run_files, tmp_path, trainer="inc", **LONG)
    assert not prepared.args.bf16 and prepared.precisions == {}


@on_bf16_cpu
def test_an_operator_that_has_no_bf16_leaves_fp32(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **named: Any) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("\"some_kernel\" not implemented for 'BFloat16'")
        return gelu(*args, **named)

    gelu = torch.nn.functional.gelu
    monkeypatch.setattr(torch.nn.functional, "gelu", fails)
    prepared = prepared_on_cpu(run_files, tmp_path, **LONG)
    assert not prepared.args.bf16 and prepared.precisions == {}


@devices
@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_goes_on_keeps_to_what_it_began_with(
    run_files: Path, tmp_path: Path, begun: bool, cpu: bool
) -> None:
    prepared = prepare(config_of(run_files, tmp_path / "out", cpu, **LONG), tmp_path / "checkpoints", begun)
    assert prepared.args.bf16 is begun and prepared.precisions == {}
    assert prepared.config.training.get("bf16", False) is begun


@pytest.mark.gpu
def test_a_plan_says_what_they_would_do_at_their_best(run_files: Path, tmp_path: Path) -> None:
    from minidisc_plugin.run.plan.plan import make_plan

    plan = make_plan(config_of(run_files, tmp_path / "out", False))
    assert sorted(plan.serving) == [pytest.approx(0.2), 1.0]
    assert all(found.saturated.throughput > 0 for found in plan.serving.values())
