"""Several students of one schedule: each as of a run of its own, in a folder of its own, and what they share once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoTokenizer, DataCollatorWithPadding

import minidisc_plugin
from minidisc_plugin import CompressionConfig, MiniDisc, compress
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.contracts.workbench import Workbench
from minidisc_plugin.foundation.errors import ConfigError, PluginError, PluginFailedError, RunDirectoryError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.run.pipeline import Result
from minidisc_plugin.run.plan.plan import make_plan
from minidisc_plugin.run.steps.distil import Distil
from minidisc_plugin.run.steps.report import Report
from minidisc_plugin.run.steps.schedule import Schedule
from minidisc_plugin.schedulers.direct import Direct
from minidisc_plugin.training import predictions
from tests.builders.kills import killed_at
from tests.builders.script import accuracy, arguments, examples, teacher_of
from tests.builders.tiny import make_config
from tests.faults.outcome import difference, outcome
from tests.plugins.acme import giving, raising, registered, scheduler

SPARSITIES = [0.8, 0.5, 0.7]
FOLDERS = ["sparsity-0.5", "sparsity-0.7", "sparsity-0.8"]


def config_of(files: Path, out: Path, **changes: Any) -> CompressionConfig:
    return CompressionConfig.model_validate(
        make_config(files, output_dir=str(out), pruning={"target_sparsity": SPARSITIES}, **changes)
    )


@pytest.fixture(scope="module")
def finished(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run of three students."""
    return compress(config_of(run_files, tmp_path_factory.mktemp("students") / "out"))


def test_each_student_has_the_folder_of_a_run(finished: Result) -> None:
    folders = sorted(path.name for path in finished.output_dir.iterdir() if path.is_dir())
    assert folders == FOLDERS
    for folder in FOLDERS:
        names = {path.name for path in (finished.output_dir / folder).iterdir()}
        assert names >= {"student", "assistant", "schedule.json", "results.json", "README.md", "frontier.png"}
    assert {path.name for path in finished.output_dir.iterdir() if path.is_file()} == {
        "config.resolved.yaml",
        "run.json",
        "README.md",
        "frontier.png",
    }


def test_students_are_as_large_as_was_said_and_follow_larger_assistants(finished: Result) -> None:
    assert list(finished.students) == [0.5, 0.7, 0.8]
    for sparsity, one in finished.students.items():
        (row,) = (row for row in one.results.rows if row.role == "student")
        assert row.scale == pytest.approx(1 - sparsity)
        assert row.parameters == sum(weight.numel() for weight in one.student.parameters())
        assert one.assistant is not None and all(scale > row.scale for scale in one.schedule.assistants)


def test_what_they_share_is_made_once(finished: Result) -> None:
    seconds = [one.schedule.seconds for one in finished.students.values()]
    for shared in ("importance", "sandwich"):
        assert len({found[shared] for found in seconds}) == 1
    assert all(set(found) == {"importance", "sandwich", "selection", "student", "report"} for found in seconds)


def test_a_slice_of_the_sandwich_is_one_network_for_all(finished: Result) -> None:
    """A candidate that two students have was measured alike for both."""
    measured = [
        {candidate.scale: (candidate.raw_metric, candidate.parameters) for candidate in one.schedule.candidates}
        for one in finished.students.values()
    ]
    assert [set(found) for found in measured] == [{0.6}, {0.6, 0.4}, {0.6, 0.4}]
    assert measured[0].items() <= measured[1].items() and measured[1] == measured[2]


def test_the_page_and_the_commands_show_all(finished: Result, capsys: pytest.CaptureFixture[str]) -> None:
    page = (finished.output_dir / "README.md").read_text(encoding="utf-8")
    assert "3 students of one teacher" in page and all(f"({folder}/README.md)" in page for folder in FOLDERS)
    for command in ("report", "frontier", "select"):
        assert main([command, str(finished.output_dir)]) == 0
        printed = capsys.readouterr().out
        if command != "select":
            assert all(folder in printed for folder in FOLDERS)
    assert main(["report", str(finished.output_dir / "sparsity-0.7")]) == 0


def test_what_is_one_students_says_where_several_are(finished: Result) -> None:
    for ask in (lambda: finished.schedule, lambda: finished.results, lambda: finished.student):
        with pytest.raises(RunDirectoryError, match=r"several students; give one of sparsity-0.5, sparsity-0.7"):
            ask()


def test_a_finished_run_is_done_and_its_resolved_config_runs_again(finished: Result, tmp_path: Path) -> None:
    resolved = finished.output_dir / "config.resolved.yaml"
    before = outcome(finished.output_dir)
    assert main(["run", str(resolved), "--resume"]) == 0
    assert outcome(finished.output_dir) == before
    assert main(["run", str(resolved), "--set", f"output_dir={tmp_path / 'again'}"]) == 0
    assert difference(before, outcome(tmp_path / "again")) is None


def test_another_list_is_another_run(finished: Result) -> None:
    resolved = yaml.safe_load((finished.output_dir / "config.resolved.yaml").read_text(encoding="utf-8"))
    resolved["pruning"]["target_sparsity"] = [0.5, 0.8]
    with pytest.raises(RunDirectoryError, match=r"another pruning.target_sparsity"):
        compress(CompressionConfig.model_validate(resolved), resume=True)


@pytest.mark.quick_on("inc")
def test_damage_in_a_students_folder_is_found_and_what_people_edit_is_none(run_files: Path, tmp_path: Path) -> None:
    config = config_of(run_files, tmp_path / "out", scheduler="direct")
    compress(config)
    folder = tmp_path / "out" / "sparsity-0.7"
    (folder / "README.md").write_text("mine", encoding="utf-8")
    compress(config, resume=True)
    weights = folder / "student" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(RunDirectoryError, match=r"sparsity-0.7/student/model.safetensors is damaged"):
        compress(config, resume=True)
    compress(config, overwrite=True)
    assert (folder / "README.md").read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(
    ("step", "time"),
    [
        (Distil, 2),
        *(
            pytest.param(step, time, marks=pytest.mark.slow)
            for step in (Schedule, Distil, Report)
            for time in (1, 2, 3)
            if (step, time) != (Distil, 2)
        ),
    ],
)
@pytest.mark.quick_on("inc")
def test_a_run_that_is_cut_off_goes_on_to_the_same_students(
    step: type[Any], time: int, finished: Result, run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each step of each student: once it is done, and before it counts."""
    config = config_of(run_files, tmp_path / "out")
    killed_at(monkeypatch, step, "run", config, time=time, once_done=True)
    compress(config, resume=True)
    assert difference(outcome(finished.output_dir), outcome(tmp_path / "out")) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"scheduler_config": {"candidates": [0.7, 0.6], "assistants": 2}},
        pytest.param({"scheduler": "fixed", "scheduler_config": {"scale": 0.6}}, marks=pytest.mark.slow),
        pytest.param({"scheduler": "maxidisc", "scheduler_config": {"candidates": [0.6]}}, marks=pytest.mark.slow),
        pytest.param(
            {"scheduler_config": {"candidates": [0.6], "rule": "log_loss", "include_teacher": True}},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["two assistants", "fixed", "maxidisc", "teacher"],
)
@pytest.mark.quick_on("inc")
def test_every_scheduler_makes_several(changes: dict[str, Any], run_files: Path, tmp_path: Path) -> None:
    result = compress(config_of(run_files, tmp_path / "out", **changes))
    scales = [one.schedule.target_scale for one in result.students.values()]
    assert scales == pytest.approx([0.5, 0.3, 0.2])


def test_of_schedulers_that_share_nothing_each_student_is_that_of_a_run_of_its_own(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted = []
    predict = predictions.predict

    def noted(model: Any, *arguments: Any) -> Any:
        predicted.append(sum(weight.numel() for weight in model.parameters()))
        return predict(model, *arguments)

    monkeypatch.setattr(predictions, "predict", noted)
    several = compress(config_of(run_files, tmp_path / "several", scheduler="direct"))
    config = make_config(run_files, output_dir=str(tmp_path / "one"), scheduler="direct")
    alone = compress(CompressionConfig.model_validate({**config, "pruning": {"target_sparsity": 0.7}}))
    expected = alone.student.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in several.students[0.7].student.state_dict().items())
    teacher = next(row.parameters for row in alone.results.rows if row.role == "teacher")
    first = next(place for place, size in enumerate(predicted) if size != teacher)
    assert teacher not in predicted[first : first + 3], "the teacher was measured for the first student's report"


def test_the_plan_has_the_stages_that_the_run_has(finished: Result, run_files: Path, tmp_path: Path) -> None:
    plan = make_plan(config_of(run_files, tmp_path / "out"), calibrated=False)
    assert [record.scale for record in plan.students] == pytest.approx([0.5, 0.3, 0.2])
    assert [stage.name for stage in plan.stages] == ["sandwich", *(f"student-of-{scale}" for scale in (0.5, 0.3, 0.2))]
    assert "sparsity-0.5/, sparsity-0.7/, sparsity-0.8/" in plan.writes
    assert {"run.json", "README.md", "frontier.png"} <= plan.writes.keys()
    assert {"  README.md", "  frontier.png", "  student/"} <= plan.writes.keys() and "  run.json" not in plan.writes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pruning": {"target_sparsity": []}}, r"pruning.target_sparsity: \[\] cannot be used"),
        ({"pruning": {"target_sparsity": [0.5, 0.5]}}, r"0.5.* is given twice; remove one"),
        ({"pruning": {"target_sparsity": [0.5, 0.50000001]}}, r"0.5.* is given twice; remove one"),
        ({"pruning": {"target_sparsity": [0.5, 1.5]}}, r"pruning.target_sparsity.1: 1.5 cannot be used"),
        ({"pruning": {"target_sparsity": [0.5, "much"]}}, r"pruning.target_sparsity.1: 'much' cannot be used"),
        ({"pruning": {"target_sparsity": [0.5], "max_bytes": "1MB"}}, r"target_sparsity and max_bytes are given"),
        (
            {"scheduler_config": {"candidates": [0.4]}},
            r"candidates: none of \[0.4\] is larger than the student of spars",
        ),
        ({"scheduler": "fixed", "scheduler_config": {"scale": 0.4}}, r"scale: 0.4 is not strictly between"),
        ({"scheduler_config": {"candidates": [0.6], "assistants": 2}}, r"assistants: 2 of 1 candidates"),
    ],
    ids=range(9),
)
def test_what_no_students_can_have_is_refused_before_anything_is_read(
    changes: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(tmp_path, output_dir=str(tmp_path / "out"), pruning={"target_sparsity": SPARSITIES})
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({**config, **changes}), encoding="utf-8")
    assert main(["run", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line), line


def first_only(self: Scheduler, bench: Workbench, students: Sequence[Scheduler]) -> Callable[[Scheduler], Any]:
    choose = Direct.run_each(self, bench, students)  # type: ignore[arg-type]
    return lambda one: choose(one) if one is students[0] else None


def swapped(self: Scheduler, bench: Workbench, students: Sequence[Scheduler]) -> Callable[[Scheduler], Any]:
    choose = Direct.run_each(self, bench, students)  # type: ignore[arg-type]
    return lambda one: choose(students[-1 - list(students).index(one)])


@pytest.mark.parametrize(
    "members", [first_only, swapped, giving(None), giving("x"), raising(OSError("no"))], ids=range(5)
)
def test_a_scheduler_that_breaks_its_promise_is_named(members: Any, run_files: Path, tmp_path: Path) -> None:
    with (
        registered(schedulers=[scheduler(run_each=members)]),
        pytest.raises(PluginFailedError, match=r"^plug-in acme: scheduler 'odd'.*run_each"),
    ):
        compress(config_of(run_files, tmp_path / "out", scheduler="odd"))


@pytest.mark.parametrize("members", [giving([]), giving("x"), raising(KeyError("no"))], ids=range(3))
def test_planned_stages_that_are_none_are_named(members: Any, run_files: Path, tmp_path: Path) -> None:
    with (
        registered(schedulers=[scheduler(stages_each=members)]),
        pytest.raises(PluginError, match=r"^plug-in acme: scheduler 'odd'.*stages_each"),
    ):
        make_plan(config_of(run_files, tmp_path / "out", scheduler="odd"), calibrated=False)


@pytest.mark.slow
def test_each_student_is_exported_and_quantized(run_files: Path, tmp_path: Path) -> None:
    if not available("openvino"):
        pytest.skip("needs OpenVINO")
    steps = {"steps": ["export", "quantization"], "export": {"formats": ["openvino"]}}
    result = compress(config_of(run_files, tmp_path / "out", quantization={"schemes": ["openvino_int8"]}, **steps))
    for one in result.students.values():
        assert {row.runtime for row in one.results.rows if row.role == "student"} >= {"OpenVINO fp32", "OpenVINO int8"}
        assert (one.output_dir / "student-openvino").is_dir()
    assert not (result.output_dir / "checkpoints").exists()


def scheduled(files: Path, folder: Path, students: Sequence[Scheduler], **changes: Any) -> list[Any]:
    """Schedules of a script."""
    collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(files / "teacher"))
    given: Any = {"train_dataset": examples(files), "args": arguments(folder), "compute_metrics": accuracy, **changes}
    return minidisc_plugin.schedules(students, teacher_of(files), metric="accuracy", data_collator=collator, **given)


def test_a_script_has_a_schedule_for_each_student(run_files: Path, tmp_path: Path) -> None:
    students = [MiniDisc(target_sparsity=sparsity, candidates=[0.6, 0.55]) for sparsity in (0.8, 0.5)]
    made = scheduled(run_files, tmp_path / "stages", students)
    assert [one.record.target_scale for one in made] == pytest.approx([0.2, 0.5])
    assert len({one.record.seconds["sandwich"] for one in made}) == 1
    again = scheduled(run_files, tmp_path / "stages", students, resume=True)
    for one, other in zip(made, again, strict=True):
        expected = one.student.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in other.student.state_dict().items())
    others = [MiniDisc(target_sparsity=sparsity, candidates=[0.6, 0.55]) for sparsity in (0.8, 0.7)]
    with pytest.raises(RunDirectoryError, match=r"another larger\.0\.5\."):
        scheduled(run_files, tmp_path / "stages", others, resume=True)


@pytest.mark.parametrize(
    ("students", "said"),
    [
        ([], "there is none; give a scheduler for each"),
        ([MiniDisc(target_sparsity=0.8), Direct(target_sparsity=0.5)], "differ in more than"),
        ([MiniDisc(target_sparsity=0.8), MiniDisc(target_sparsity=0.5, rule="gap")], "differ in more than"),
        ([MiniDisc(target_sparsity=0.8), MiniDisc(target_sparsity=0.8)], "given twice; remove one"),
    ],
    ids=range(4),
)
def test_a_script_is_told_what_are_no_students_of_one_run(students: list[Scheduler], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        minidisc_plugin.schedules(students, None)  # type: ignore[arg-type,call-arg]
