"""A run of two processes that is killed: both go on from the same whole checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import minidisc_plugin
from tests.tiny import make_config

pytestmark = pytest.mark.slow


def start(config: Path, *options: str) -> subprocess.Popen[bytes]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "minidisc_plugin.cli", "run", str(config), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=config.parent,
    )


def written(files: Path, folder: Path, training: dict[str, Any]) -> Path:
    folder.mkdir()
    settings = {"use_cpu": True, "per_device_train_batch_size": 12, "save_strategy": "steps", "save_steps": 3}
    data = make_config(files, output_dir=str(folder / "out"), trainer="transformers", scheduler="direct")
    data["training"] |= {**settings, "num_train_epochs": 4, **training}
    data["engine"] = {"dropout": True}
    (folder / "config.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder / "config.yaml"


@pytest.mark.parametrize("training", [{}, {"fsdp": True}], ids=["copies", "shards"])
@pytest.mark.parametrize("moment", ["student/checkpoint-6/seal.json", "student/checkpoint-9/optimizer.*"])
def test_killed_processes_resume(training: dict[str, Any], moment: str, run_files: Path, tmp_path: Path) -> None:
    whole = written(run_files, tmp_path / "whole", training)
    assert start(whole).wait(200) == 0
    config = written(run_files, tmp_path / "killed", training)
    process = start(config)
    checkpoints = config.parent / "out" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob(moment)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert start(config, "--resume").wait(200) == 0
    expected, found = (minidisc_plugin.load(each.parent / "out" / "student").state_dict() for each in (whole, config))
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
