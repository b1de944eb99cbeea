"""`optimum-cli compress` is `minidisc`; an `inc_config.json` is a config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from optimum.intel import INCConfig

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.pipeline import compress
from tests.builders.tiny import make_config
from tests.integrations.making import distillation, pruning, teacher_of


def optimum_cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("optimum-cli")
    return subprocess.run([str(script), *arguments], capture_output=True, text=True, cwd=cwd, check=False)


def test_it_lists_the_commands(tmp_path: Path) -> None:
    assert "compress" in optimum_cli("--help", cwd=tmp_path).stdout
    shown = optimum_cli("compress", "--help", cwd=tmp_path).stdout
    for command in ("run", "plan", "select", "report", "plugins", "doctor"):
        assert f"    {command} " in shown


def test_it_runs_them(run_files: Path, tmp_path: Path) -> None:
    done = optimum_cli("compress", "plugins", cwd=tmp_path)
    assert done.returncode == 0 and "minidisc" in done.stdout
    config = str(run_files / "compression.yaml")
    done = optimum_cli("compress", "run", config, "--set", f"output_dir={tmp_path / 'out'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "student:" in done.stdout and (tmp_path / "out" / "results.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_is_one_line_and_a_status(tmp_path: Path) -> None:
    done = optimum_cli("compress", "report", str(tmp_path / "none"), cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "is not a folder" in done.stderr


def test_the_registration_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import argparse, sys, optimum.commands.base; before = set(sys.modules);"
        "from optimum.commands.register.register_minidisc import CompressCommand;"
        "CompressCommand.parse_args(argparse.ArgumentParser());"
        "heavy = {'torch', 'transformers', 'numpy', 'pydantic', 'neural_compressor', 'rich', 'pluggy'};"
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"


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
