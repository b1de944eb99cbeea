"""A run of two processes that is killed: both go on from the same whole checkpoint."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml

import minidisc_plugin
from minidisc_plugin.integrations.hosts import available
from tests.builders.tiny import make_config

pytestmark = pytest.mark.slow


def start(config: Path, *options: str) -> subprocess.Popen[bytes]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [sys.executable, *launcher, "-m", "minidisc_plugin.cli", "run", str(config), *options]
    with (config.parent / "printed.txt").open("wb") as printed:
        return subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT, cwd=config.parent)


def finish(config: Path, *options: str) -> None:
    status = start(config, *options).wait(200)
    assert status == 0, (config.parent / "printed.txt").read_text(encoding="utf-8")[-5000:]


def written(files: Path, folder: Path, trainer: str, training: dict[str, Any]) -> Path:
    folder.mkdir()
    settings = {"use_cpu": True, "per_device_train_batch_size": 12, "save_strategy": "steps", "save_steps": 3}
    data = make_config(files, output_dir=str(folder / "out"), trainer=trainer, scheduler="direct")
    data["training"] |= {**settings, "num_train_epochs": 4, **training}
    data["engine"] = {"dropout": True}
    (folder / "config.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder / "config.yaml"


@pytest.mark.parametrize(
    ("trainer", "training"),
    [
        ("transformers", {}),
        ("transformers", {"fsdp": True}),
        *([("inc", {"gradient_accumulation_steps": 3})] if available("host", "inc") else []),
    ],
    ids=str,
)
@pytest.mark.parametrize("moment", ["student/checkpoint-6/seal.json", "student/checkpoint-9/optimizer.*"])
def test_killed_processes_resume(
    trainer: str, training: dict[str, Any], moment: str, run_files: Path, tmp_path: Path
) -> None:
    whole = written(run_files, tmp_path / "whole", trainer, training)
    finish(whole)
    config = written(run_files, tmp_path / "killed", trainer, training)
    process = start(config)
    checkpoints = config.parent / "out" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob(moment)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    workers = psutil.Process(process.pid).children(recursive=True)
    for each in [process, *workers]:
        each.kill()
    process.wait()
    psutil.wait_procs(workers)
    finish(config, "--resume")
    expected, found = (minidisc_plugin.load(each.parent / "out" / "student").state_dict() for each in (whole, config))
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
