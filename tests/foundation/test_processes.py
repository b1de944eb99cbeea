"""Which process this is: what launchers set counts, and what pods export beside no launcher does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from minidisc_plugin.cli import main
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.processes import check_joined, is_writer, process_count, process_index
from minidisc_plugin.training.arguments import training_arguments
from tests.builders.tiny import make_config

_NAMES = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "ACCELERATE_USE_CPU"),
    *("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"),
)


@pytest.fixture(autouse=True)
def launched_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)


def export(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "1"}, (0, 1)),
        ({"WORLD_SIZE": "2"}, (0, 1)),
        ({"RANK": "abc", "WORLD_SIZE": "abc"}, (0, 1)),
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "-1"}, (0, 1)),  # what scripts export for "none"
        ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, (1, 2)),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}, (3, 4)),
        ({"LOCAL_RANK": "0"}, (0, 1)),
    ],
)
def test_only_what_a_launcher_sets_counts(
    variables: dict[str, str], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(monkeypatch, variables)
    assert (process_index(), process_count()) == expected
    assert is_writer() == (expected[0] == 0)


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
@pytest.mark.parametrize("value", ["abc", "", "1.5"])
def test_what_is_no_whole_number_is_refused_in_a_line(
    name: str,
    value: str,
    run_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    export(monkeypatch, {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", name: value})
    config = tmp_path / "compression.yaml"
    config.write_text(yaml.safe_dump(make_config(run_files, output_dir=str(tmp_path / "out"))), encoding="utf-8")
    assert main(["run", str(config)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.splitlines() == [said]
    assert said.startswith(f"minidisc: {name}: '{value}' in the environment is not a whole number; start with torchrun")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("variables", [{"RANK": "1"}, {"RANK": "1", "WORLD_SIZE": "2"}])
def test_a_stray_rank_leaves_an_ordinary_run(
    variables: dict[str, str],
    run_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    export(monkeypatch, variables)
    data = make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct", trainer="transformers")
    config = tmp_path / "compression.yaml"
    config.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert main(["run", str(config)]) == 0
    assert "student: " in capsys.readouterr().out
    assert {"student", "results.json", "run.json"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_processes_that_accelerate_would_wait_for_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU it joins what these count, though no launcher says which process this is."""
    monkeypatch.setenv(name, "2")
    with pytest.raises(ConfigError, match=rf"^{name}: '2' in the environment, and no LOCAL_RANK: start with torchrun"):
        training_arguments({"use_cpu": True}, tmp_path)


_TRY = """
from pathlib import Path
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.training.arguments import training_arguments
try:
    training_arguments({}, Path("checkpoints"))
except ConfigError as error:
    print(error)
"""


@pytest.mark.skipif(torch.accelerator.is_available(), reason="training joins its processes there")
def test_processes_that_training_has_not_joined_are_refused(tmp_path: Path) -> None:
    """Without `use_cpu` accelerate joins nobody on a machine of CPUs, and each process would make a whole run."""
    (tmp_path / "tried.py").write_text(_TRY, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "tried.py"]
    paths = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, env=os.environ | paths)
    # Both write into one pipe, and a line's end may come after the other's line.
    found = sorted(f"WORLD_SIZE:{part.rstrip()}" for part in done.stdout.split("WORLD_SIZE:")[1:])
    for line, said in zip(found, ("0 of 2", "1 of 2"), strict=True):
        assert line.startswith(f"WORLD_SIZE: training joined as process 0 of 1, and the environment says {said}; start")
        assert line.endswith("training.use_cpu: true where there is no accelerator")


@pytest.mark.parametrize(("index", "count"), [(0, 2), (1, 2), (1, 1)])
def test_processes_that_only_training_has_joined_are_refused(index: int, count: int) -> None:
    """As where another program than ours started them, and accelerate understands it."""
    with pytest.raises(ConfigError, match=rf"joined as process {index} of {count}, .* 0 of 1; start with torchrun or"):
        check_joined(index, count)
    check_joined(0, 1)
