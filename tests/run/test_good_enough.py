"""`pruning.max_loss`: a few students are made, the smallest that is good enough is taken, and what was made is kept."""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, DataCollatorWithPadding

import minidisc_plugin
from minidisc_plugin import MiniDisc
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.budget import Budget, Tried
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Step
from minidisc_plugin.foundation.errors import ConfigError, RunDirectoryError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.run import good_enough
from minidisc_plugin.run.good_enough import SCALES, tried_at_worst
from minidisc_plugin.run.pipeline import Result, compress
from minidisc_plugin.run.plan.plan import make_plan
from minidisc_plugin.run.steps.report import Report
from minidisc_plugin.run.steps.schedule import Schedule
from minidisc_plugin.schedulers.evaluator import Evaluator
from minidisc_plugin.selection.metric_range import MetricRange
from tests.builders.kills import killed_at
from tests.builders.script import accuracy, arguments, examples, teacher_of
from tests.builders.tiny import make_config
from tests.faults.outcome import difference, outcome
from tests.run.test_processes import torchrun
from tests.tasks.making import make_task_run

ALL = [0.5, 0.8, 0.9]  # where none is good enough
LEAST = [0.5, 0.2, 0.1, 0.05]  # where all are


def config_of(files: Path, out: Path, max_loss: float | str = 0.99, **changes: Any) -> CompressionConfig:
    pruning = {"max_loss": max_loss, **changes.pop("pruning", {})}
    data: dict[str, Any] = {"scheduler_config": {}, "trainer": "transformers", **changes}
    return CompressionConfig.model_validate(make_config(files, output_dir=str(out), pruning=pruning, **data))


@pytest.fixture
def trained(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Stages that were trained since the last time it was asked."""
    caplog.set_level(logging.INFO, logger="minidisc_plugin")

    def stages() -> list[str]:
        found = [match[1] for text in caplog.messages if (match := re.match(r"stage (\S+)", text))]
        caplog.clear()
        return found

    return stages


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Decides which scales are good enough, in place of the bootstrap over a handful of examples."""

    def decide(loss: Callable[[float], float], sure: float | None = 1.0) -> None:
        compared = good_enough._compared

        def judged(scale: float, *arguments: Any) -> Tried:
            found = compared(scale, *arguments)
            limit = arguments[-2].loss
            changes = {"loss": loss(scale), "sure": sure, "good_enough": loss(scale) <= limit}
            return found.model_copy(update=changes)

        monkeypatch.setattr(good_enough, "_compared", judged)

    return decide


def budget_of(result: Result) -> Budget:
    budget = result.results.budget
    assert budget is not None and budget.search is not None
    return budget


def left(result: Result) -> dict[str, Any]:
    """What a run left, but for students that it keeps from an earlier search."""
    return {name: what for name, what in outcome(result.output_dir).items() if not name.startswith("search/student-")}


def tried_in(result: Result) -> list[float]:
    search = budget_of(result).search
    assert search is not None
    return [one.scale for one in search.tried]


@given(st.integers(1, 40), st.integers(0, 40))
def test_bisection_finds_the_smallest_of_any_grid(count: int, good: int) -> None:
    students, asked = list(range(count)), []

    def is_good(student: int) -> bool:
        asked.append(student)
        return student < good

    good_enough._bisect(students, is_good)
    assert len(asked) == len(set(asked)) <= math.floor(math.log2(count)) + 1
    assert max((one for one in asked if one < good), default=-1) == min(good, count) - 1


def test_the_confidence_is_that_of_the_whole_search() -> None:
    assert good_enough.needed_in_each(0.8, len(SCALES)) == 0.95  # four looks
    assert [good_enough.needed_in_each(0.9, count) for count in (1, 2, 3, 4)] == [0.9, 0.95, 0.95, 0.966667]


@pytest.mark.parametrize(("errors", "taken"), [(15, False), (10, True), (0, True)])
def test_a_student_has_to_pass_in_the_share_of_draws_that_each_look_needs(errors: int, taken: bool) -> None:
    drawn = [0.70] * errors + [0.80] * (200 - errors)
    promise = good_enough._Promise(0.02, good_enough.needed_in_each(0.8, len(SCALES)))
    one = good_enough._compared(0.5, (0.79, drawn), (0.80, [0.80] * 200), MetricRange(0, 1), promise, 1.0)
    assert one.good_enough is taken and one.sure == 1 - errors / 200


def test_at_worst_the_largest_are_tried() -> None:
    assert tried_at_worst(SCALES) == ALL


def test_the_smallest_that_is_good_enough_is_the_run_s_student(
    run_files: Path, tmp_path: Path, trained: Callable[[], list[str]]
) -> None:
    result = compress(config_of(run_files, tmp_path / "out"))
    stages = [stage for stage in trained() if not stage.endswith("objective")]
    assert stages == ["sandwich", *(f"student-of-{scale:g}" for scale in LEAST)]
    budget = budget_of(result)
    assert tried_in(result) == LEAST and budget.search is not None and budget.search.kept
    assert budget.asked == {"max_loss": 0.99, "confidence": 0.8}
    assert budget.target_sparsity == result.schedule.target_sparsity == 0.95
    assert budget.search.split == "validation"
    student = result.results.row("student")
    assert student is not None and student.scale == pytest.approx(0.05)
    assert student.parameters == sum(weight.numel() for weight in result.student.parameters())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"student", "assistant", "schedule.json", "results.json", "README.md", "frontier.png", "search"}
    assert "checkpoints" not in names and not any(name.startswith("sparsity-") for name in names)


@pytest.mark.parametrize(
    ("loss", "best", "order"),
    [
        (lambda scale: 1 - scale, 0.9, ALL),  # of those that are tried the largest loses least
        (lambda scale: 0.5 if scale == 0.8 else 0.6, 0.8, ALL),
        pytest.param(lambda scale: 0.0 if scale > 0.15 else 0.5, 0.2, [0.5, 0.2, 0.1], marks=pytest.mark.slow),
        (lambda scale: 0.01 if scale > 0.45 else 0.5, 0.5, [0.5, 0.2, 0.4]),
    ],
    ids=range(4),
)
def test_which_student_is_taken(
    loss: Callable[[float], float],
    best: float,
    order: list[float],
    run_files: Path,
    tmp_path: Path,
    verdicts: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    verdicts(loss)
    result = compress(config_of(run_files, tmp_path / "out", 0.01, scheduler="direct"))
    assert result.schedule.target_scale == pytest.approx(best)
    assert tried_in(result) == order
    search = budget_of(result).search
    assert search is not None and search.kept is (loss(best) <= 0.01)
    assert any("no student is good enough" in text for text in caplog.messages) is not search.kept


@pytest.mark.quick_on("latest")
def test_with_another_loss_only_what_is_missing_is_made(
    run_files: Path, tmp_path: Path, verdicts: Callable[..., None], trained: Callable[[], list[str]]
) -> None:
    verdicts(lambda scale: 1 - scale)
    out = tmp_path / "out"
    assert compress(config_of(run_files, out, 0.35)).schedule.target_scale == pytest.approx(0.7)
    assert trained() == ["sandwich", *(f"student-of-{scale:g}" for scale in (0.5, 0.8, 0.7, 0.6))]
    result = compress(config_of(run_files, out, 0.75), resume=True)
    assert trained() == [f"student-of-{scale:g}" for scale in (0.2, 0.4, 0.3)]
    assert result.schedule.target_scale == pytest.approx(0.3) and tried_in(result) == [0.5, 0.2, 0.4, 0.3]
    fresh = compress(config_of(run_files, tmp_path / "fresh", 0.75))
    trained()
    assert difference(left(result), left(fresh)) is None
    assert compress(config_of(run_files, out, 0.75), resume=True).output_dir == out
    again = compress(config_of(run_files, out, "35%"), resume=True)
    assert trained() == [] and again.schedule.target_scale == pytest.approx(0.7)
    assert compress(config_of(run_files, out, "35%", pruning={"confidence": 0.6}), resume=True).results.budget
    assert trained() == []


def test_what_was_kept_of_a_search_may_be_removed(
    run_files: Path, tmp_path: Path, verdicts: Callable[..., None], trained: Callable[[], list[str]]
) -> None:
    verdicts(lambda scale: 1 - scale)
    config = config_of(run_files, tmp_path / "out", 0.55, scheduler="direct")
    result = compress(config)
    (spare,) = (tmp_path / "out" / "search").glob("student-of-0.4/*.safetensors")
    spare.write_bytes(b"x")
    with pytest.raises(RunDirectoryError, match=r"weights.safetensors is damaged; restore it, remove .*search, or"):
        compress(config, resume=True)
    shutil.rmtree(tmp_path / "out" / "search")
    trained()
    assert compress(config, resume=True).schedule.target_scale == pytest.approx(0.5)
    assert trained() == []
    other = config_of(run_files, tmp_path / "out", 0.15, scheduler="direct")
    assert compress(other, resume=True).schedule.target_scale == pytest.approx(0.9)
    assert trained() == [f"student-of-{scale:g}" for scale in ALL]
    (spare,) = (result.output_dir / "search").glob("student-of-0.5/*.safetensors")
    spare.write_bytes(b"x")
    with pytest.raises(RunDirectoryError, match=r"weights\.safetensors is damaged; restore it, or start"):
        compress(config, resume=True)


@pytest.mark.parametrize(
    ("step", "max_loss"),
    [
        (Report, 0.35),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((Report, 0.75), (Schedule, 0.75), (Schedule, 0.35))),
    ],
)
@pytest.mark.quick_on("latest")
def test_a_run_that_was_killed_after_its_search_goes_on(
    step: type[Step],
    max_loss: float,
    run_files: Path,
    tmp_path: Path,
    verdicts: Callable[..., None],
    trained: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdicts(lambda scale: 1 - scale)
    out = killed_at(monkeypatch, step, "run", config_of(run_files, tmp_path / "out", 0.75))
    trained()
    result = compress(config_of(run_files, out, max_loss), resume=True)
    assert trained() == ([] if max_loss == 0.75 else ["student-of-0.8", "student-of-0.7", "student-of-0.6"])
    fresh = compress(config_of(run_files, tmp_path / "fresh", max_loss))
    assert difference(left(result), left(fresh)) is None


@pytest.mark.quick_on("latest")
def test_a_search_that_was_killed_goes_on(
    run_files: Path,
    tmp_path: Path,
    verdicts: Callable[..., None],
    trained: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdicts(lambda scale: 1 - scale)
    config = config_of(run_files, tmp_path / "out", 0.75)
    killed_at(monkeypatch, Evaluator, "redrawn", config, time=3)  # the teacher is the first
    trained()
    result = compress(config, resume=True)
    assert trained() == ["student-of-0.4", "student-of-0.3"]
    fresh = compress(config_of(run_files, tmp_path / "fresh", 0.75))
    assert difference(outcome(result.output_dir), outcome(fresh.output_dir)) is None


def test_a_finished_run_is_another_s_with_another_seed(run_files: Path, tmp_path: Path) -> None:
    config = config_of(run_files, tmp_path / "out", scheduler="direct")
    compress(config)
    training = {**config.training, "seed": 7}
    with pytest.raises(RunDirectoryError, match=r"holds a run with another .*training\.seed"):
        compress(config_of(run_files, tmp_path / "out", 0.5, scheduler="direct", training=training), resume=True)
    with pytest.raises(RunDirectoryError, match=r"holds a run with another .*pruning\.max_loss"):
        settings = {**config.model_dump(exclude_none=True), "pruning": {"target_sparsity": 0.95}}
        compress(CompressionConfig.model_validate(settings), resume=True)


def test_without_a_validation_split_the_selection_split_judges(
    run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(run_files, tmp_path / "out", scheduler="direct").model_dump(exclude_none=True)
    files = config["dataset"]["data_files"]
    config["dataset"]["data_files"] = {split: file for split, file in files.items() if split != "validation"}
    result = compress(CompressionConfig.model_validate(config))
    search = budget_of(result).search
    assert search is not None and search.split == "selection"
    assert any("add a validation split" in text for text in caplog.messages)


def test_students_that_settings_do_not_fit_are_left_out(run_files: Path, tmp_path: Path) -> None:
    fixed = {"scheduler": "fixed", "scheduler_config": {"scale": 0.35}}
    plan = make_plan(config_of(run_files, tmp_path / "out", **fixed), calibrated=False)
    assert [student.scale for student in plan.students] == pytest.approx([0.3, 0.2, 0.1, 0.05])
    plan = make_plan(config_of(run_files, tmp_path / "out", scheduler_config={"candidates": [0.3]}), calibrated=False)
    assert [student.scale for student in plan.students] == pytest.approx(SCALES)
    assert [one.scale for one in plan.candidates] == [0.95, 0.9, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3]
    with pytest.raises(ConfigError, match="assistants: 9 of"):
        make_plan(config_of(run_files, tmp_path / "out", scheduler_config={"assistants": 9}), calibrated=False)


def test_the_plan_prices_what_is_made_where_none_is_good_enough(run_files: Path, tmp_path: Path) -> None:
    plan = make_plan(config_of(run_files, tmp_path / "out"), calibrated=False)
    stages = [stage.name for stage in plan.stages]
    assert stages == ["sandwich", *(f"student-of-{scale:g}" for scale in sorted(ALL, reverse=True))]
    assert {"search/", "student/", "schedule.json"} <= plan.writes.keys()


def test_commands_tell_what_was_tried(
    run_files: Path, tmp_path: Path, verdicts: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts(lambda scale: 0.004 if scale > 0.45 else 0.5, 0.93)
    out = tmp_path / "out"
    compress(config_of(run_files, out, 0.01))
    capsys.readouterr()
    told = (
        "max_loss 0.01 at confidence 0.8: the student of scale 0.5 lost 0.4 points on the validation split, no more "
        "than it may in 93% of the draws of 95% that each comparison needs"
    )
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "## How the size was chosen" in card and told in card
    for command in ("report", "frontier"):
        assert main([command, str(out)]) == 0
        assert told in " ".join(capsys.readouterr().out.split())
    assert main(["report", str(out)]) == 0
    assert re.search(r"0\.4 .*not good enough", capsys.readouterr().out)
    assert main(["select", str(out), "--lambda", "0.3"]) == 0
    data = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert data["budget"]["target_sparsity"] == 0.5 and data["settings"]["pruning.max_loss"] == 0.01


def test_a_script_finds_the_smallest(
    run_files: Path, tmp_path: Path, verdicts: Callable[..., None], trained: Callable[[], list[str]]
) -> None:
    verdicts(lambda scale: 0.0 if scale > 0.25 else 0.5)
    students = [MiniDisc(target_sparsity=sparsity, candidates=[0.6]) for sparsity in (0.5, 0.8, 0.7)]
    collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(run_files / "teacher"))
    given: dict[str, Any] = {"train_dataset": examples(run_files), "eval_dataset": examples(run_files).select(range(8))}
    found = minidisc_plugin.smallest_good_enough(
        students,
        teacher_of(run_files),
        max_loss="1%",
        args=arguments(tmp_path / "stages"),
        compute_metrics=accuracy,
        metric="accuracy",
        data_collator=collator,
        **given,
    )
    assert found.schedule.distilled and found.scheduler is students[2]
    assert found.budget.search is not None and found.budget.search.examples == 8
    assert [one.scale for one in found.budget.search.tried] == pytest.approx([0.3, 0.2])
    assert trained() == ["sandwich", "student-of-0.3", "student-of-0.2"]
    with pytest.raises(ConfigError, match="max_loss"):
        minidisc_plugin.smallest_good_enough(students, None, max_loss=2)  # type: ignore[arg-type,call-arg]


@pytest.mark.slow
def test_two_processes_search_as_one(run_files: Path, tmp_path: Path) -> None:
    settings = {"scheduler": "minidisc", "scheduler_config": {"candidates": [0.35]}, "pruning": {"max_loss": 0.3}}
    torchrun(run_files, tmp_path, 2, **settings)
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(record["budget"]["search"]["tried"]) >= 2
    assert record["budget"]["search"]["examples"] == 48


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("token-classification", "seqeval"),
        ("question-answering", "squad"),
        ("text-generation", "bits_saved"),
        ("text2text-generation", "bits_saved"),
    ],
)
def test_students_of_every_task_are_compared(task: str, metric: str, tmp_path: Path) -> None:
    kind = {"text-generation": "llama", "text2text-generation": "t5"}.get(task, task)
    settings = {"scheduler": "direct", "scheduler_config": {}, "pruning": {"max_loss": 0.9}}
    config = make_task_run(tmp_path, task, kind, metric, **settings)
    search = budget_of(compress(CompressionConfig.model_validate(config))).search
    assert search is not None and search.kept and len(search.tried) == 4
    drawn = {one.sure is not None for one in search.tried}
    assert drawn == {task != "question-answering"} and all(one.loss is not None for one in search.tried)


@pytest.mark.slow
def test_exports_are_of_the_student_that_was_found(
    run_files: Path, tmp_path: Path, verdicts: Callable[..., None]
) -> None:
    if not available("openvino"):
        pytest.skip("needs OpenVINO")
    verdicts(lambda scale: 1 - scale)
    steps = {"scheduler": "direct", "steps": ["export"], "export": {"formats": ["openvino"]}}
    sizes = []
    for max_loss in (0.15, 0.75, 0.15):
        result = compress(config_of(run_files, tmp_path / "out", max_loss, **steps), resume=bool(sizes))
        rows = {row.runtime: row for row in result.results.rows if row.role == "student"}
        assert rows["OpenVINO fp32"].scale == rows["torch fp32"].scale == pytest.approx(0.9 if max_loss < 0.5 else 0.3)
        assert rows["OpenVINO fp32"].metric == pytest.approx(rows["torch fp32"].metric, abs=0.05)
        sizes.append(sum(file.stat().st_size for file in (result.output_dir / "student-openvino").glob("*.bin")))
    assert sizes[0] == sizes[2] > sizes[1]


def test_a_run_that_replaces_a_search_leaves_nothing_of_it(run_files: Path, tmp_path: Path) -> None:
    compress(config_of(run_files, tmp_path / "out", scheduler="direct"))
    plain = config_of(run_files, tmp_path / "out", scheduler="direct").model_dump(exclude_none=True)
    config = CompressionConfig.model_validate({**plain, "pruning": {"target_sparsity": 0.5}})
    assert compress(config, overwrite=True).schedule.target_scale == pytest.approx(0.5)
    assert not (tmp_path / "out" / "search").exists()
