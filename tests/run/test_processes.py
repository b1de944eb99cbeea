"""One run in two processes: `torchrun` on the CPU, by gloo."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import minidisc_plugin
from minidisc_plugin.contracts.records import read_results, read_schedule
from minidisc_plugin.integrations.hosts import available
from tests.builders.tiny import make_config

ROOT = Path(__file__).resolve().parents[2]
TRAINERS = ["transformers", *(["inc"] if available("host", "inc") else [])]


def torchrun(
    files: Path, folder: Path, processes: int, training: dict[str, object] | None = None, **changes: object
) -> str:
    """A run of the command line; `training` adds to that section. Returns what it printed."""
    data = make_config(files, output_dir=str(folder / "out"), **changes)
    data["training"] |= {"use_cpu": True, "per_device_train_batch_size": 24 // processes, **(training or {})}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(data), encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *launcher, "-m", "minidisc_plugin.cli", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    "trainer", [pytest.param(trainer, marks=[pytest.mark.slow] if trainer == "inc" else []) for trainer in TRAINERS]
)
@pytest.mark.quick_on("latest")
def test_two_processes_make_one_run(trainer: str, run_files: Path, tmp_path: Path) -> None:
    printed = torchrun(run_files, tmp_path, 2, trainer=trainer)
    assert printed.count("student: ") == 1
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "run.json",
        "assistant",
        "config.resolved.yaml",
        "results.json",
        "schedule.json",
        "student",
        "tradeoff.png",
        "frontier.png",
    }
    assert read_schedule(out).assistants == [0.4]
    metric = read_results(out).row("student")
    assert metric is not None and metric.metric is not None and metric.metric > 0.8
    assert minidisc_plugin.load(out / "student").config.layer_sizes
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"]


@pytest.mark.slow  # the losses of the same network, which are compared below, depend on it
def test_importance_does_not_depend_on_the_number_of_processes(run_files: Path, tmp_path: Path) -> None:
    sizes = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        torchrun(run_files, folder, processes, scheduler="direct", trainer="transformers")
        sizes.append(minidisc_plugin.load(folder / "out" / "student").config.layer_sizes)
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"training": {"gradient_accumulation_steps": 2, "num_train_epochs": 2}}, marks=pytest.mark.slow),
        pytest.param(
            {"scheduler_config": {"sampling": "all", "halving": False}, "engine": {"teacher_cache": False}},
            marks=pytest.mark.slow,
        ),
        pytest.param({"distillation": {"objective": "knowledge_distillation"}}, marks=pytest.mark.slow),
        pytest.param({"distillation": {"augment": 2}, "training": {"num_train_epochs": 2}}, marks=pytest.mark.slow),
        pytest.param({"engine": {"compile": True}}, marks=pytest.mark.slow),
        pytest.param({"distillation": {"objective": "ted"}}, marks=pytest.mark.slow),
        pytest.param({"distillation": {"objective": "codir"}}, marks=pytest.mark.slow),
        pytest.param(  # Adam would make steps of noise: what a domain asks of all others alike has no gradient
            {
                "distillation": {"objective": "hrkd", "hrkd": {"dropout": 0.0}},
                "dataset": {"domain": "label"},
                "training": {"optim": "sgd", "learning_rate": 0.05},
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=[
        "fast",
        "accumulated",
        "published sampling",
        "knowledge_distillation",
        "altered copies",
        "compile",
        "ted",
        "codir",
        "hrkd",
    ],
)
@pytest.mark.quick_on("latest")
def test_two_processes_have_the_losses_and_the_choice_of_one(
    changes: dict[str, Any], run_files: Path, tmp_path: Path
) -> None:
    found = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        data = make_config(run_files, output_dir=str(folder / "out"), trainer="transformers")
        for key, values in changes.items():
            data[key] = {**data.get(key, {}), **values}
        data["training"] |= {"use_cpu": True, "per_device_train_batch_size": 24 // processes, "save_strategy": "no"}
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(data), encoding="utf-8")
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command = [
            sys.executable,
            *launcher,
            "-m",
            "tests.run.record_losses",
            str(config),
            str(folder / "found.json"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads((folder / "found.json").read_text(encoding="utf-8")))
    one, two = found
    assert len(one["losses"]) > 4
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5, abs=0)
    assert two["assistants"] == one["assistants"]
    assert two["metrics"] == pytest.approx(one["metrics"])


@pytest.mark.parametrize(
    ("scheduler", "training", "objective"),
    [
        ("minidisc", {}, "minidisc"),
        # One case tells quickly whether shards learn; these are the same in other settings.
        pytest.param(
            "minidisc",
            {"gradient_checkpointing": True, "gradient_accumulation_steps": 2},
            "minidisc",
            marks=pytest.mark.slow,
        ),
        pytest.param("direct", {}, "minidisc", marks=pytest.mark.slow),
        pytest.param("minidisc", {}, "codir", marks=pytest.mark.slow),
        pytest.param("minidisc", {}, "hrkd", marks=pytest.mark.slow),
    ],
)
@pytest.mark.quick_on("latest")
def test_shards_learn_what_whole_copies_learn(
    scheduler: str, training: dict[str, object], objective: str, run_files: Path, tmp_path: Path
) -> None:
    """FSDP against two copies: every weight of the student, and so of its assistant."""
    plain = {"optim": "sgd", "learning_rate": 0.05, **training}  # Adam makes steps of noise where there is no gradient
    models = []
    for name, sharding in (("whole", {}), ("shards", {"fsdp": True})):
        folder = tmp_path / name
        folder.mkdir()
        changes: dict[str, Any] = {
            "trainer": "transformers",
            "scheduler": scheduler,
            "distillation": {"objective": objective},
        }
        if objective == "hrkd":
            changes["distillation"] |= {"hrkd": {"dropout": 0.0}}
            changes["dataset"] = {**make_config(run_files)["dataset"], "domain": "label"}
        torchrun(run_files, folder, 2, {**plain, **sharding}, **changes)
        models.append(minidisc_plugin.load(folder / "out" / "student").state_dict())
        assert read_results(folder / "out").row("student") is not None
    whole, shards = models
    assert whole.keys() == shards.keys()
    for name, value in whole.items():
        torch.testing.assert_close(shards[name], value, atol=1e-6, rtol=1e-4)
