"""`optimum-cli compress` is `minidisc`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def optimum_cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("optimum-cli")
    return subprocess.run([str(script), *arguments], capture_output=True, text=True, cwd=cwd, check=False)


pytest.importorskip("optimum")


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
