"""The example for CUDA, on the CPU: it needs no host of Intel's, so it runs on both stacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from minidisc_plugin.contracts.records import read_results
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.training.sharding import wants_sharding
from tests.builders.tiny import make_overrides

CONFIG = Path(__file__).resolve().parents[2] / "examples" / "cuda" / "compression.yaml"


@pytest.mark.quick_on("inc")
def test_it_runs_on_a_tiny_model(run_files: Path, tmp_path: Path) -> None:
    config = read_config(CONFIG)
    assert config.training["bf16"] is True and config.trainer == "transformers"
    on_cpu = {"training.dataloader_num_workers": 0, "training.use_cpu": "true"}
    overrides = {**make_overrides(run_files, tmp_path / "out"), **on_cpu}
    changes = [word for key, value in overrides.items() for word in ("--set", f"{key}={value}")]
    # A process of its own: transformers 4 notes mixed precision in the environment, for all Trainers that come later.
    command = [sys.executable, "-m", "minidisc_plugin.cli", "run", str(CONFIG), *changes]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    student = read_results(tmp_path / "out").row("student")
    assert student is not None and student.metric is not None and student.metric > 0.8


def test_the_language_model_is_sharded() -> None:
    config = read_config(CONFIG.with_name("causal_lm.yaml"))
    assert config.task == "text-generation" and config.scheduler == "minidisc"
    assert wants_sharding(config.training)
    assert config.training["bf16"] is True and config.training["gradient_checkpointing"] is True
