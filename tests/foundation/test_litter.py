"""A command leaves its output directory and Hugging Face's caches, and nothing else anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.foundation.litter import compile_into, no_litter
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.integrations.schemes import WAYS
from tests.builders.tiny import make_config

FOLDERS = ("home", "temporary", "working", "caches")


def listing(folder: Path) -> set[str]:
    """Everything below a folder, but for what a run of its own output directory holds."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {name for name in found if not name.startswith("out/")}


def command(files: Path, folder: Path, *arguments: str) -> dict[str, set[str]]:
    """Run a command in a process with folders of its own; what is in each of them afterwards."""
    places = {name: folder / name for name in FOLDERS}
    for place in places.values():
        place.mkdir()
    file = folder / "compression.yaml"
    file.write_text(yaml.safe_dump(make_config(files, output_dir="out")), encoding="utf-8")
    # Python's own byte code, in the folders where packages are installed, is not ours to judge.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL", "HF_", "TORCH"))}
    variables = kept | {
        "HOME": str(places["home"]),
        "TMPDIR": str(places["temporary"]),
        "HF_HOME": str(places["caches"]),
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "minidisc_plugin.cli", arguments[0], str(file), *arguments[1:]],
        cwd=places["working"],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {name: listing(place) for name, place in places.items()}


@pytest.mark.quick_on("inc")
def test_a_run_leaves_its_directory(run_files: Path, tmp_path: Path) -> None:
    left = command(run_files, tmp_path, "run")
    assert (left["home"], left["temporary"], left["working"]) == (set(), set(), {"out"})
    assert {name.partition("/")[0] for name in left["caches"]} <= {"datasets", "hub", "metrics", "modules"}
    inside = {path.name for path in (tmp_path / "working" / "out").rglob("*")}
    assert "results.json" in inside and not any(name.startswith(".") for name in inside)


@pytest.mark.slow
def test_a_plan_leaves_nothing(run_files: Path, tmp_path: Path) -> None:
    left = command(run_files, tmp_path, "plan")
    assert (left["home"], left["temporary"], left["working"]) == (set(), set(), set())


@pytest.mark.slow
@pytest.mark.skipif(
    not (available("openvino") and available("onnx") and available("host", "inc")), reason="hosts are missing"
)
def test_every_deployment_leaves_the_directory(run_files: Path, tmp_path: Path) -> None:
    schemes = [name for name, way in WAYS.items() if available(way.capability, way.route)]
    steps = ["steps=[export, quantization]", "export.formats=[openvino, onnx]"]
    steps += [f"quantization.schemes=[{', '.join(schemes)}]"]
    left = command(run_files, tmp_path, "run", *(part for step in steps for part in ("--set", step)))
    assert (left["home"], left["temporary"], left["working"]) == (set(), set(), {"out"})
    inside = {path.name for path in (tmp_path / "working" / "out").rglob("*")}
    assert "student-openvino-static" in inside and not any(name.startswith(".") for name in inside)


def test_what_is_set_is_given_back(run_files: Path, tmp_path: Path) -> None:
    before, modules = dict(os.environ), "openvino_telemetry" in sys.modules
    config = make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct", scheduler_config={})
    compress(CompressionConfig.model_validate(config))
    changed = {name for name in os.environ if os.environ[name] != before.get(name)}
    assert not changed & {"ORT_DISABLE_TELEMETRY", "LOG_LEVEL_INC", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"}
    assert ("openvino_telemetry" in sys.modules) == modules


def test_what_the_user_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with no_litter() as is_ours:
        assert not is_ours and os.environ["ORT_DISABLE_TELEMETRY"] == "0"
        assert os.environ["LOG_LEVEL_INC"] == "6"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0" and os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)


def test_compiled_code_goes_with_the_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with no_litter() as is_ours:
        made = tmp_path / "torchinductor"
        made.mkdir()
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(made)  # as torch does when it is imported
        assert is_ours
        compile_into(tmp_path / "checkpoints")
        assert not made.exists()
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "checkpoints" / "compiled")
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
