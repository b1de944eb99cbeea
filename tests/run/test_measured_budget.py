"""A budget in multiply-accumulates or milliseconds is measured before training; a run that goes on keeps to it."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import BertConfig, BertForSequenceClassification

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.workbench import Allocation
from minidisc_plugin.foundation.errors import ConfigError, RunDirectoryError
from minidisc_plugin.run import settled_budget
from minidisc_plugin.run.measuring import costs
from minidisc_plugin.run.measuring.costs import milliseconds, multiply_accumulates
from minidisc_plugin.run.pipeline import compress
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.settled_budget import settled
from minidisc_plugin.run.steps.distil import Distil
from minidisc_plugin.run.workbench import workbench_of
from tests.builders.kills import killed_at
from tests.builders.tiny import VOCABULARY, make_config
from tests.run.test_processes import torchrun

# Of the tiny teacher, which has 177,728 for one example of the median length, and 15,168 in its smallest student.
MACS = 100_000
# So many examples that neurons decide what a pass takes, and not the calls.
MANY = 256


def config_of(files: Path, folder: Path, **changes: Any) -> CompressionConfig:
    data = {"pruning": {"max_macs": MACS}, "scheduler": "direct", "scheduler_config": {}, "trainer": "transformers"}
    return CompressionConfig.model_validate(
        make_config(files, output_dir=str(folder / "out"), **{**data, **changes})  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def wide_files(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a run whose teacher takes several times what its smallest student does."""
    folder = tmp_path_factory.mktemp("wide") / "files"
    shutil.copytree(run_files, folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 2048}
    config = BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=32, num_labels=2, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder / "teacher")
    return folder


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """How many slices were measured since the last time it was asked."""
    caplog.set_level(logging.INFO, logger="minidisc_plugin")

    def count() -> int:
        found = sum("a slice of scale" in record.getMessage() for record in caplog.records)
        caplog.clear()
        return found

    return count


@pytest.mark.parametrize("allocation", ["global", "uniform"])
def test_the_student_is_the_largest_within_so_many_multiply_accumulates(
    allocation: Allocation, run_files: Path, tmp_path: Path
) -> None:
    config = config_of(run_files, tmp_path, scheduler_config={"allocation": allocation})
    prepared = prepare(config, tmp_path / "checkpoints")
    assert prepared.budget is None and prepared.config.pruning.max_macs == MACS
    bench = workbench_of(prepared)
    found = settled(prepared, bench, config)
    cost = multiply_accumulates(found, bench.ranked_network())
    target = found.scheduler.target_scale
    assert cost(target) <= MACS < cost(target + 0.0002)
    assert found.budget is not None and found.budget.cost == cost(target)
    assert found.scheduler.target_scale == target and found.scheduler.allocation == allocation


def test_a_run_within_multiply_accumulates(run_files: Path, tmp_path: Path, told: Callable[[], int]) -> None:
    config = config_of(run_files, tmp_path, scheduler="minidisc", pruning={"max_macs": "100k"})
    result = compress(config)
    assert told() > 3
    student, budget = result.results.row("student"), result.results.budget
    assert student is not None and student.macs is not None and student.macs <= MACS
    assert budget is not None and budget.asked == {"max_macs": "100k"} and budget.cost == student.macs
    assert budget.target_sparsity == result.schedule.target_sparsity
    assert "budget" in result.results.seconds
    resolved = yaml.safe_load((tmp_path / "out" / "config.resolved.yaml").read_text(encoding="utf-8"))
    assert resolved["pruning"] == {"target_sparsity": budget.target_sparsity}
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["budget"]["target_sparsity"] == record["settings"]["pruning.target_sparsity"]
    for again in (config, CompressionConfig.model_validate(resolved)):
        assert compress(again, resume=True).output_dir == result.output_dir
    assert told() == 0


def test_a_run_within_milliseconds(wide_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "_SECONDS", 0.3)
    config = config_of(wide_files, tmp_path, pruning={"max_latency_ms": 1e6, "batch_size": MANY})
    prepared = prepare(config, tmp_path / "checkpoints")
    bench = workbench_of(prepared)
    cost = milliseconds(prepared, bench.ranked_network(), MANY)
    middle = math.sqrt(cost(0.001) * cost(1.0))
    config = config_of(wide_files, tmp_path, pruning={"max_latency_ms": middle, "batch_size": MANY})
    result = compress(config)
    budget = result.results.budget
    assert budget is not None and budget.asked == {"max_latency_ms": middle, "batch_size": MANY}
    assert budget.cost is not None and budget.cost <= middle
    assert 0.001 < budget.target_sparsity < 0.999
    other = config_of(wide_files, tmp_path, pruning={"max_latency_ms": middle, "batch_size": 1})
    with pytest.raises(RunDirectoryError, match=r"holds a run with another pruning\.batch_size; resume with"):
        compress(other, resume=True)


def test_a_run_that_goes_on_keeps_to_what_was_found(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[], int]
) -> None:
    config = config_of(run_files, tmp_path)
    file = killed_at(monkeypatch, Distil, "run", config) / "run.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["budget"]["target_sparsity"] = record["settings"]["pruning.target_sparsity"] = 0.5
    file.write_text(json.dumps(record), encoding="utf-8")
    assert told() > 3
    with pytest.raises(RunDirectoryError, match=r"holds a run with another pruning\.max_macs; resume with"):
        compress(config_of(run_files, tmp_path, pruning={"max_macs": MACS - 1}), resume=True)
    with pytest.raises(RunDirectoryError, match=r"batch_size, pruning\.max_latency_ms, pruning\.max_macs;"):
        compress(config_of(run_files, tmp_path, pruning={"max_latency_ms": 5}), resume=True)
    with pytest.raises(RunDirectoryError, match=r"holds a run with another pruning\.target_sparsity;"):
        compress(config_of(run_files, tmp_path, pruning={"target_sparsity": 0.6}), resume=True)
    result = compress(config_of(run_files, tmp_path, pruning={"target_sparsity": 0.5}), resume=True)
    assert result.schedule.target_sparsity == 0.5 and told() == 0
    assert result.results.budget is not None and result.results.budget.asked == {"max_macs": MACS}
    assert compress(config, resume=True).schedule.target_sparsity == 0.5 and told() == 0


def test_a_run_that_was_killed_before_it_knew_measures_again(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[], int]
) -> None:
    config = config_of(run_files, tmp_path)
    out = killed_at(monkeypatch, settled_budget, "_measured", config)
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["budget"] is None and record["settings"]["pruning.max_macs"] == MACS
    with pytest.raises(RunDirectoryError, match=r"holds a run with another pruning\.max_macs; resume with"):
        compress(config_of(run_files, tmp_path, pruning={"max_macs": MACS - 1}), resume=True)
    assert told() == 0
    expected = compress(config_of(run_files, tmp_path / "whole")).results.budget
    assert compress(config, resume=True).results.budget == expected and told() > 3


def test_what_was_measured_and_not_recorded_is_in_the_journal(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[], int]
) -> None:
    config = config_of(run_files, tmp_path)
    killed_at(monkeypatch, settled_budget, "keep_budget", config)
    assert told() > 3
    assert compress(config, resume=True).results.budget is not None and told() == 0


def test_a_budget_in_parameters_is_kept_with_its_run(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(run_files, tmp_path, pruning={"max_parameters": "15k"})
    out = killed_at(monkeypatch, Distil, "run", config)
    result = compress(out / "config.resolved.yaml", resume=True)
    budget = result.results.budget
    assert budget is not None and budget.asked == {"max_parameters": "15k"} and budget.cost is None
    assert budget.amount == 15_000 and budget.target_sparsity == result.schedule.target_sparsity


@pytest.mark.quick_on("inc")
def test_two_processes_agree_on_what_one_of_them_measures(run_files: Path, tmp_path: Path) -> None:
    printed = torchrun(run_files, tmp_path, 2, scheduler="direct", scheduler_config={}, pruning={"max_macs": MACS})
    assert printed.count("student: ") == 1
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    (student,) = (row for row in record["rows"] if row["role"] == "student")
    assert record["budget"]["cost"] == student["macs"] <= MACS


def test_a_plan_measures_too(
    run_files: Path, tmp_path: Path, told: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    data = make_config(run_files, pruning={"max_macs": MACS}, scheduler_config={}, output_dir=str(tmp_path / "out"))
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert main(["plan", str(file), "--no-calibration"]) == 0
    assert "student 0.56" in capsys.readouterr().out and told() > 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pruning", "scheduler", "message"),
    [
        ({"max_macs": 15_000}, {}, "pruning.max_macs: 15000: the smallest student of this teacher has 15,168 multiply"),
        ({"max_macs": "1G"}, {}, "pruning.max_macs: '1G': the teacher is within it, with 177,728 multiply-accumulates"),
        ({"max_latency_ms": 1e-6}, {}, "pruning.max_latency_ms: 1e-06: the smallest student of this teacher takes"),
        ({"max_latency_ms": 1e6}, {}, "pruning.max_latency_ms: 1000000.0: the teacher is within it, with"),
        ({"max_macs": MACS}, {"candidates": [0.7, 0.3]}, "scheduler_config.candidates"),
        ({"max_macs": 170_000}, {"scheduler": "fixed"}, "scheduler_config.scale: 2."),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    pruning: dict[str, Any], scheduler: dict[str, Any], message: str, run_files: Path, tmp_path: Path
) -> None:
    settings = {"candidates": scheduler["candidates"]} if "candidates" in scheduler else {}
    name = scheduler.get("scheduler", "minidisc")
    config = config_of(run_files, tmp_path, pruning=pruning, scheduler=name, scheduler_config=settings)
    with pytest.raises(ConfigError) as error:
        compress(config)
    assert str(error.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_to_be_replaced_by_a_refused_one_stays(run_files: Path, tmp_path: Path) -> None:
    first = config_of(run_files, tmp_path, pruning={"target_sparsity": 0.5})
    compress(first)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="the teacher is within it"):
        compress(config_of(run_files, tmp_path, pruning={"max_macs": "1G"}), overwrite=True)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert compress(first, resume=True).schedule.target_sparsity == 0.5


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"max_latency_ms": 0}, "pruning.max_latency_ms: 0 cannot be used"),
        ({"max_latency_ms": -1.5}, "pruning.max_latency_ms: -1.5 cannot be used"),
        ({"max_latency_ms": math.nan}, "pruning.max_latency_ms: nan cannot be used"),
        ({"max_latency_ms": math.inf}, "pruning.max_latency_ms: inf cannot be used"),
        ({"max_latency_ms": 1e15}, "pruning.max_latency_ms: 1000000000000000.0 cannot be used"),
        ({"max_latency_ms": True}, "pruning.max_latency_ms: True cannot be used"),
        ({"max_latency_ms": "5 ms"}, "pruning.max_latency_ms: '5 ms' cannot be used"),
        ({"max_latency_ms": 5, "batch_size": 0}, "pruning.batch_size: 0 cannot be used"),
        ({"max_latency_ms": 5, "batch_size": -1}, "pruning.batch_size: -1 cannot be used"),
        ({"max_latency_ms": 5, "batch_size": 1.5}, "pruning.batch_size: 1.5 cannot be used"),
        ({"max_latency_ms": 5, "batch_size": 10**6}, "pruning.batch_size: 1000000 cannot be used"),
        ({"max_latency_ms": 5, "max_macs": "1M"}, "max_latency_ms and max_macs are given; give one of"),
        ({"max_latency_ms": 5, "target_sparsity": 0.5}, "target_sparsity and max_latency_ms are given; give one of"),
        ({"batch_size": 8}, "nothing is given; give one of pruning.target_sparsity, "),
        ({"max_macs": "1M", "batch_size": 8}, "batch_size does nothing without max_latency_ms; remove it"),
        ({"target_sparsity": 0.5, "batch_size": 1}, "batch_size does nothing without max_latency_ms; remove it"),
        ({"max_macs": 0}, "pruning.max_macs: 0 cannot be used"),
        ({"max_macs": "0M"}, "pruning.max_macs: '0M' cannot be used: it is less than 1; give more"),
        ({"max_macs": -3}, "pruning.max_macs: -3 cannot be used"),
        ({"max_macs": 1e8}, "pruning.max_macs: 100000000.0 cannot be used"),
        ({"max_macs": "nan"}, "pruning.max_macs: 'nan' cannot be used: it is no number of multiply-accumulates"),
        ({"max_macs": "200MB"}, "pruning.max_macs: '200MB' cannot be used: it is no number of multiply-accumulates"),
        ({"max_loss": 1}, "it is no share in [0, 1), of the metric's range; one point of accuracy is 0.01, or 1%"),
        ({"max_loss": -0.1}, "it is no share in [0, 1)"),
        ({"max_loss": "120%"}, "it is no share in [0, 1)"),
        ({"max_loss": "1 point"}, "it is no share; give one such as 0.01 or 1%"),
        ({"max_loss": True}, "pruning.max_loss: True cannot be used"),
        ({"max_loss": 0.01, "confidence": 1}, "pruning.confidence: 1 cannot be used"),
        ({"max_loss": 0.01, "confidence": 0.4}, "pruning.confidence: 0.4 cannot be used"),
        ({"max_loss": 0.01, "target_sparsity": 0.9}, "target_sparsity and max_loss are given"),
        ({"max_loss": 0.01, "max_bytes": "1MB"}, "max_bytes and max_loss are given"),
        ({"max_loss": 0.01, "batch_size": 8}, "batch_size does nothing without max_latency_ms; remove it"),
        ({"max_bytes": "1MB", "confidence": 0.9}, "confidence does nothing without max_loss; remove it"),
    ],
)
def test_a_budget_that_is_none(
    pruning: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        yaml.safe_dump(make_config(tmp_path, pruning=pruning)), encoding="utf-8"
    )  # of nothing that is there
    assert main(["run", str(file)]) == 2 and list(tmp_path.iterdir()) == [file]
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
