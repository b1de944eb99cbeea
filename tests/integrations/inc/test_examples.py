"""The examples for Intel's hosts, on the tiny model and data."""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minidisc_plugin
from minidisc_plugin.contracts.records import read_results
from tests.builders.tiny import make_overrides

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
INTEL = EXAMPLES / "intel"


# Plain INCTrainer lacks this attribute from transformers 4.55 on, which the script before the change would die of.
RUN = """
import runpy, sys
from optimum.intel import INCTrainer
INCTrainer.current_gradient_accumulation_steps = 1
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_script(name: str, files: Path, folder: Path) -> str:
    command = [sys.executable, "-c", RUN, str(INTEL / name), "--teacher", str(files / "teacher"), "--data", str(files)]
    done = subprocess.run(
        [*command, "--output", str(folder / "out"), "--epochs", "1"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in folder.iterdir()] == ["out"]
    return done.stdout


def parameters(printed: str) -> int:
    found = re.search(r"^parameters: ([\d,]+)$", printed, flags=re.MULTILINE)
    assert found is not None and re.search(r"^accuracy: [01]\.\d{4}$", printed, flags=re.MULTILINE)
    return int(found[1].replace(",", ""))


def test_the_script_before_and_after(run_files: Path, tmp_path: Path) -> None:
    counts = []
    for name in ("inc_trainer.py", "inc_trainer_minidisc.py"):
        folder = tmp_path / name
        folder.mkdir()
        counts.append(parameters(run_script(name, run_files, folder)))
    assert counts[1] < 0.6 * counts[0]
    student = minidisc_plugin.load(tmp_path / "inc_trainer_minidisc.py" / "out")
    assert sum(p.numel() for p in student.parameters()) == counts[1]


def test_the_readme_shows_the_difference_as_it_is() -> None:
    before, after = (
        (INTEL / name).read_text(encoding="utf-8").splitlines()
        for name in ("inc_trainer.py", "inc_trainer_minidisc.py")
    )
    changed = [
        line
        for line in difflib.unified_diff(before, after, lineterm="", n=0)
        if line[0] in "+-" and not line.startswith(("+++", "---")) and line.strip("+-")
    ]
    (shown,) = re.findall(r"^```diff\n(.*?)^```$", (INTEL / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert [line for line in shown.splitlines() if line[:1] in ("+", "-")] == changed
    assert len(changed) == 3


@pytest.mark.slow
def test_the_pipeline(run_files: Path, tmp_path: Path) -> None:
    overrides = {**make_overrides(run_files, tmp_path / "out"), "quantization.calibration_examples": 32}
    changes = [word for key, value in overrides.items() for word in ("--set", f"{key}={value}")]
    optimum_cli = str(Path(sys.executable).with_name("optimum-cli"))
    command = [optimum_cli, "compress", "run", str(INTEL / "compression.yaml"), *changes]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    runtimes = [row.runtime for row in read_results(tmp_path / "out").rows]
    assert runtimes[-3:] == ["OpenVINO fp32", "OpenVINO fp32", "OpenVINO int8, static"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
