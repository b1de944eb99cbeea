"""The example for CUDA, on the CPU: it needs no host of Intel's, so it runs on both stacks."""

from __future__ import annotations

from pathlib import Path

from minidisc_plugin.config_file import read_config
from minidisc_plugin.pipeline import compress
from tests.tiny import make_overrides

CONFIG = Path(__file__).resolve().parent.parent / "examples" / "cuda" / "compression.yaml"


def test_it_runs_on_a_tiny_model(run_files: Path, tmp_path: Path) -> None:
    on_cpu = {"training.dataloader_num_workers": 0, "training.use_cpu": "true"}
    overrides = {**make_overrides(run_files, tmp_path / "out"), **on_cpu}
    config = read_config(CONFIG, [f"{key}={value}" for key, value in overrides.items()])
    assert config.training["bf16"] is True and config.trainer == "transformers"
    student = compress(config).results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.8
