"""The command line in process: exit statuses, what each subcommand prints, and what it leaves alone."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from minidisc_plugin import hookimpl
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.records import read_results, read_schedule
from minidisc_plugin.plugins import host
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.plan.plan import make_plan
from tests.builders.tiny import make_config

COMMANDS = ("run", "plan", "select", "report", "plugins", "doctor", "olive-package")


@dataclass
class Finished:
    """One run by the command line.

    Attributes:
        config: Its config file.
        output: Its output directory.
        status: Exit status.
        printed: On standard output.
        steps: Optimizer steps that each training stage really took.
    """

    config: Path
    output: Path
    status: int
    printed: str
    steps: dict[str, int]


class CountsSteps:
    """A plug-in that reads the number of the last checkpoint of each stage."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}

    @hookimpl
    def minidisc_stage_finished(self, stage: str, output_dir: Path) -> None:
        for checkpoint in output_dir.glob(f"{stage}/checkpoint-*"):
            self.steps[stage] = max(self.steps.get(stage, 0), int(checkpoint.name.rpartition("-")[2]))


@pytest.fixture(scope="module")
def finished(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run, to look at; with accumulation and an uneven last batch, so that steps are easy to get wrong."""
    folder = tmp_path_factory.mktemp("cli")
    data = make_config(run_files, output_dir=str(folder / "out"))
    data["training"] |= {"num_train_epochs": 2, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 20}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(data), encoding="utf-8")
    counts = CountsSteps()
    host().manager.register(counts)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            status = main(["run", str(config)])
    finally:
        host().manager.unregister(counts)
    return Finished(config, folder / "out", status, printed.getvalue(), counts.steps)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error, but for progress bars, that a call with status 2 prints."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if line.strip() and "/s]" not in line)
    assert captured.out == "" and line.startswith("minidisc: ")
    return line


def test_run_prints_tables_and_where_things_are(finished: Finished) -> None:
    assert finished.status == 0
    for row in read_results(finished.output).rows:
        assert re.search(rf"^{row.role} +{row.scale:.4g} +\d", finished.printed, flags=re.MULTILINE), row.role
    for name in ("tradeoff.png", "frontier.png"):
        assert f"plot: {finished.output / name}" in finished.printed
    assert finished.printed.endswith(f"student: {finished.output / 'student'}\n")


def test_a_loss_that_is_not_finite_ends_the_run_with_1(
    run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [f"output_dir={tmp_path / 'out'}", "training.learning_rate=1e10", "scheduler=direct"]
    arguments = [part for override in overrides for part in ("--set", override)]
    assert main(["run", str(run_files / "compression.yaml"), *arguments]) == 1
    assert re.search(r"^minidisc: .*loss of student is", capsys.readouterr().err, flags=re.MULTILINE)
    assert not (tmp_path / "out" / "student").exists()


def test_report_prints_the_table_again(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(finished.output)
    assert main(["report", str(finished.output)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() and printed in finished.printed
    assert main(["report", str(finished.output), str(finished.output)]) == 0
    row = re.compile(r"\bstudent +0\.2 +\d")  # The line of times may say "student 0.2 s".
    assert (len(row.findall(printed)), len(row.findall(capsys.readouterr().out))) == (1, 2)
    assert contents(finished.output) == before


def test_plan_writes_nothing_and_agrees_with_the_run(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    before = contents(finished.config.parent)
    assert main(["plan", str(finished.config), "--set", "output_dir=new/out"]) == 0
    printed = capsys.readouterr().out
    assert contents(finished.config.parent) == before and list(tmp_path.iterdir()) == []
    # 216 examples in batches of 20, two batches a step: 11 batches, 6 steps an epoch.
    assert finished.steps == {"sandwich": 12, "student": 12}
    for stage, steps in finished.steps.items():
        row = rf"^ *{stage} +{steps} +\d+\.\d\d +\d+\.\d\d +\d.* s *$"
        assert re.search(row, printed, flags=re.MULTILINE), printed
    assert "would write into new/out:" in printed and "config.resolved.yaml" in printed


def test_a_plan_without_calibration_times_nothing(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(finished.config), "--no-calibration"]) == 0
    printed = capsys.readouterr().out
    assert "relative cost" in printed and "relative time" not in printed and "measured here" not in printed


def test_the_plan_has_the_sizes_and_steps_of_the_run(finished: Finished) -> None:
    plan = make_plan(read_config(finished.config))
    assert all(stage.seconds > 0 and stage.relative_time > 0 for stage in plan.stages)
    assert {stage.name: stage.steps for stage in plan.stages} == finished.steps
    recorded = read_schedule(finished.output).candidates
    assert [c.parameters for c in plan.candidates] == [c.parameters for c in recorded]
    assert [c.heads for c in plan.candidates] == [c.heads for c in recorded]
    results = read_results(finished.output)
    student, teacher = results.row("student"), results.row("teacher")
    assert student is not None and (student.parameters, student.macs) == (plan.students[0].parameters, plan.macs[0.2])
    assert teacher is not None and (teacher.parameters, teacher.macs) == (plan.teacher.parameters, plan.macs[1.0])
    assert plan.timed_on.sequence_length == results.sequence_length


@pytest.mark.parametrize("scheduler", ["minidisc", "direct"])
def test_a_plan_of_layers_without_heads_and_neurons(
    scheduler: str, run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"scheduler": scheduler, "pruning": {"target_sparsity": 0.99}}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(make_config(run_files, output_dir=str(tmp_path / "out"), **changes)))
    plan = make_plan(read_config(config))
    assert min(plan.students[0].heads) == 0 == min(plan.students[0].neurons), plan.students
    assert 0 < plan.macs[0.01] < plan.macs[1.0]
    assert all(stage.seconds > 0 for stage in plan.stages)
    assert main(["plan", str(config), "--no-calibration"]) == 0
    assert f"student {plan.students[0].scale:g}" in capsys.readouterr().out


def test_plugins_lists_those_of_this_package(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["plugins"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name in ("direct", "fixed", "maxidisc", "minidisc"):
        assert any(row[:3] == [name, name, "minidisc-plugin"] for row in rows)


def test_doctor_names_the_versions_that_are_installed(capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    import transformers

    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert transformers.__version__ in printed and torch.__version__.partition("+")[0] in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_subcommand(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: minidisc {command} [-h]")


def test_help_names_every_subcommand_and_a_config_that_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    for command in COMMANDS:
        assert re.search(rf"^    {command}[ \n]", printed, flags=re.MULTILINE)
    block = printed.partition("a config:\n")[2].partition("\n\n")[0]
    (tmp_path / "config.yaml").write_text(block, encoding="utf-8")
    config = read_config(tmp_path / "config.yaml")
    assert (config.scheduler, config.training["learning_rate"]) == ("minidisc", 1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["compress"],
        ["run"],
        ["run", "a", "--resume", "--overwrite"],
        ["select", "a", "--lambda", "much"],
        ["report"],
    ],
)
def test_arguments_that_cannot_be_parsed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: minidisc" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("schedular=minidisc", "did you mean 'scheduler'?"),
        ("pruning.target_sparsity=2", "pruning.target_sparsity: 2"),
        ("scheduler=mindisc", "found: "),
        ("model=no/such/folder", "model: 'no/such/folder'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    command: str,
    override: str,
    reason: str,
    run_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(run_files)
    config = str(run_files / "compression.yaml")
    assert reason in refused([command, config, "--set", "output_dir=out", "--set", override], capsys)
    assert list(tmp_path.iterdir()) == [] and contents(run_files) == before


def test_a_finished_run_is_not_overwritten_unasked(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(finished.output)
    message = refused(["run", str(finished.config)], capsys)
    assert "--overwrite" in message and "--resume" in message
    assert "training" in refused(["run", str(finished.config), "--resume", "--set", "training.seed=9"], capsys)
    assert contents(finished.output) == before


@pytest.mark.parametrize("command", ["report", "select"])
def test_a_folder_that_is_no_run(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "schedule.json is missing" in refused([command, str(tmp_path)], capsys)
    assert "is not a folder" in refused([command, str(tmp_path / "none")], capsys)


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = """
import sys
import minidisc_plugin, minidisc_plugin.cli, minidisc_plugin.run.config.file, minidisc_plugin.contracts.hookspecs
import minidisc_plugin.selection
minidisc_plugin.CompressionConfig, minidisc_plugin.tradeoff, minidisc_plugin.hookimpl, minidisc_plugin.MinidiscError
minidisc_plugin.cli.make_parser().format_help()
heavy = {"torch", "transformers", "datasets", "evaluate", "numpy", "matplotlib", "sklearn", "accelerate"}
print(sorted(heavy & set(sys.modules)))
assert set(minidisc_plugin.__all__) <= set(dir(minidisc_plugin))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
