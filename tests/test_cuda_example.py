"""The example for CUDA, on the CPU: it needs no host of Intel's, so it runs on both stacks."""

from __future__ import annotations

from pathlib import Path

from minidisc_plugin.config_file import read_config
from minidisc_plugin.pipeline import compress
from tests.tiny import make_config

CONFIG = Path(__file__).resolve().parent.parent / "examples" / "cuda" / "compression.yaml"


def test_it_runs_on_a_tiny_model(run_files: Path, tmp_path: Path) -> None:
    files = make_config(run_files)["dataset"]["data_files"]
    overrides = {
        "model": run_files / "teacher",
        **{f"dataset.data_files.{split}": file for split, file in files.items()},
        "training.num_train_epochs": 1,
        "training.dataloader_num_workers": 0,
        "training.use_cpu": "true",
        "pruning.target_sparsity": 0.8,
        "scheduler_config.candidates": "[0.6, 0.4]",
        "max_length": 32,
        "output_dir": tmp_path / "out",
    }
    config = read_config(CONFIG, [f"{key}={value}" for key, value in overrides.items()])
    assert config.training["bf16"] is True and config.trainer == "transformers"
    student = compress(config).results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.8
