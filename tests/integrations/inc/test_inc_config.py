"""An `inc_config.json` of Optimum Intel is a config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from optimum.intel import INCConfig

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.pipeline import compress
from tests.builders.script import teacher_of
from tests.builders.tiny import make_config
from tests.integrations.inc.making import distillation, pruning


def written(folder: Path, files: Path, **keys: object) -> Path:
    """An `inc_config.json` as Optimum writes it, with more keys."""
    INCConfig(pruning=pruning(0.8), distillation=distillation(teacher_of(files))).save_pretrained(folder)
    file = folder / "inc_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **keys}), encoding="utf-8")
    return file


def test_an_inc_config_runs(run_files: Path, tmp_path: Path) -> None:
    file = written(tmp_path, run_files, scheduler="minidisc")
    data = make_config(run_files)
    overrides = [
        f"dataset={json.dumps(data['dataset'])}",
        "metric=accuracy",
        f"training={json.dumps(data['training'])}",
        f"output_dir={tmp_path / 'out'}",
    ]
    config = read_config(file, overrides)
    assert (config.scheduler, config.pruning.target_sparsity, config.distillation.temperature) == ("minidisc", 0.8, 2.0)
    assert config.model == str(run_files / "teacher")
    assert compress(config).schedule.assistants
    assert INCConfig.from_pretrained(tmp_path).pruning["sparsity"] == 0.8


def test_an_inc_config_may_hold_our_keys_and_says_what_is_missing(run_files: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^dataset: missing; add it; metric: missing; add it; output_dir: missing"):
        read_config(written(tmp_path, run_files, scheduler="minidisc"))
    data = make_config(run_files)
    ours = {key: data[key] for key in ("dataset", "metric", "training", "output_dir")}
    quantized = {"quantization": {"is_static": True, "dataset_num_samples": 50}}
    config = read_config(written(tmp_path, run_files, **ours, **quantized))
    assert config.steps == ["quantization"]
    assert config.quantization.schemes == ("inc_static",) and config.quantization.calibration_examples == 50
    assert INCConfig.from_pretrained(tmp_path).quantization["is_static"]


def test_measured_sparsity_is_per_cent_and_the_schedulers_goes_first(run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files)
    ours = {key: data[key] for key in ("dataset", "metric", "output_dir")}
    sparsity = {"pruning": {"approach": "magnitude", "pattern": "1x1", "sparsity": 31.22}}
    assert read_config(written(tmp_path, run_files, **ours, **sparsity)).pruning.target_sparsity == pytest.approx(
        0.3122
    )
    chosen = {"scheduler": "minidisc", "scheduler_config": {"target_sparsity": 0.8, "lambda": 0.3}}
    config = read_config(written(tmp_path, run_files, **ours, **sparsity, **chosen))
    assert config.pruning.target_sparsity == 0.8 and config.scheduler_config == {"lambda": 0.3}
