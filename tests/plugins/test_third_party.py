"""The example of a third party's scheduler: installed by pip, found by its entry point, run to the end."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "third_party_scheduler"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a process in which the example is installed; built from a copy, into a folder of its own."""
    folder = tmp_path_factory.mktemp("third_party")
    for name in ("target", "temporary"):
        (folder / name).mkdir()
    shutil.copytree(EXAMPLE, folder / "source")
    variables = os.environ | {"TMPDIR": str(folder / "temporary"), "PIP_CONFIG_FILE": os.devnull, "COLUMNS": "120"}
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", "target", "./source"]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return variables | {"PYTHONPATH": str(folder / "target"), "HOME": str(folder)}


def minidisc(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minidisc_plugin.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_is_listed_with_distribution_and_version(environment: dict[str, str], tmp_path: Path) -> None:
    done = minidisc(environment, tmp_path, "plugins")
    assert done.returncode == 0, done.stderr
    (row,) = (line.split() for line in done.stdout.splitlines() if "geometric" in line)
    assert row == ["geometric", "geometric", "geometric-scheduler", "0.1.0"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.quick_on("inc")
def test_it_runs_to_the_end(environment: dict[str, str], run_files: Path, tmp_path: Path) -> None:
    overrides = ["--set", "scheduler=geometric", "--set", f"output_dir={tmp_path / 'out'}"]
    done = minidisc(environment, tmp_path, "run", str(run_files / "compression.yaml"), *overrides)
    assert done.returncode == 0, done.stderr
    schedule = json.loads((tmp_path / "out" / "schedule.json").read_text(encoding="utf-8"))
    assert schedule["scheduler"] == "geometric"
    assert schedule["assistants"] == pytest.approx([math.sqrt(0.2)], abs=1e-6)
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [row["role"] for row in results["rows"]] == ["teacher", "assistant", "student"]
    assert (tmp_path / "out" / "student" / "model.safetensors").is_file()
    assert "geometric" in done.stdout and str(tmp_path / "out" / "student") in done.stdout
    # Standard output holds the report alone: `minidisc run CONFIG > report.txt`.
    assert "stage assistant" in done.stderr and "stage assistant" not in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
