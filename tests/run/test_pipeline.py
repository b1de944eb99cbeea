"""The whole pipeline on tiny files: what is written, that it loads elsewhere, and that it goes on after a kill."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import Dataset
from huggingface_hub import ModelCard
from transformers import AutoTokenizer, TrainingArguments

from minidisc_plugin import CompressionConfig, MiniDisc, compress, hookimpl, load
from minidisc_plugin.contracts.rules import Rule
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.metrics import build_compute_metrics
from minidisc_plugin.plugins import host
from minidisc_plugin.run.measuring.measure import count_parameters
from minidisc_plugin.run.pipeline import Result
from minidisc_plugin.run.reporting.schedule_rows import schedule_grid
from minidisc_plugin.run.reporting.tables import markdown_table
from minidisc_plugin.run.reselection import select_again
from minidisc_plugin.selection import choose
from tests.builders.tiny import make_config, make_rows, make_run_files


def run(files: Path, output: Path, **changes: Any) -> Result:
    """A run on the shared files, into a folder of its own."""
    return compress(CompressionConfig.model_validate(make_config(files, output_dir=str(output), **changes)))


@pytest.fixture(scope="module")
def finished(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One run of minidisc, to look at."""
    return run(run_files, tmp_path_factory.mktemp("finished") / "out")


def test_output_directory_is_complete(finished: Result) -> None:
    names = {path.name for path in finished.output_dir.iterdir()}
    assert names == {
        "config.resolved.yaml",
        "schedule.json",
        "results.json",
        "tradeoff.png",
        "frontier.png",
        "assistant",
        "student",
        "README.md",
        "run.json",
    }
    card = ModelCard.load(finished.output_dir / "README.md")
    assert "](tradeoff.png)" in card.text and "](frontier.png)" in card.text


def test_selection_follows_the_recorded_metrics(finished: Result) -> None:
    record = finished.schedule
    assert [candidate.scale for candidate in record.candidates] == [0.6, 0.4]
    metrics = {candidate.scale: candidate.metric for candidate in record.candidates}
    assert tuple(record.assistants) == choose(metrics, 0.2, 0.2)
    assert [c.scale for c in record.candidates if c.selected] == record.assistants
    assert set(record.seconds) == {"importance", "sandwich", "selection", "student", "report"}


def test_results_describe_the_saved_models(finished: Result) -> None:
    results = finished.results
    assert [row.role for row in results.rows] == ["teacher", "assistant", "student"]
    assert (results.split, results.examples) == ("test", 64)
    for row in results.rows[1:]:
        assert row.path is not None
        model = load(finished.output_dir / row.path)
        assert row.parameters == count_parameters(model)
        assert row.bytes_on_disk == (finished.output_dir / row.path / "model.safetensors").stat().st_size
    parameters = [row.encoder_parameters for row in results.rows]
    assert parameters == sorted(parameters, reverse=True)
    candidates = {candidate.scale: candidate for candidate in finished.schedule.candidates}
    assert results.rows[1].parameters == candidates[results.rows[1].scale].parameters


def test_student_learned_and_its_reported_metric_is_reproduced(finished: Result, run_files: Path) -> None:
    rows = make_rows(64, seed=3)
    tokenizer = AutoTokenizer.from_pretrained(finished.output_dir / "student")
    batch = tokenizer([row["sentence"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        predicted = finished.student(**batch).logits.argmax(-1).tolist()
    accuracy = sum(p == row["label"] for p, row in zip(predicted, rows, strict=True)) / len(rows)
    student = finished.results.row("student")
    assert student is not None and student.metric == pytest.approx(accuracy)
    assert accuracy > 0.7


def test_student_loads_where_this_package_is_not(finished: Result, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["minidisc_plugin"] = None
from transformers import AutoModelForSequenceClassification
folder = {str(finished.output_dir / "student")!r}
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
print(sum(parameter.numel() for parameter in model.parameters()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    student = finished.results.row("student")
    assert student is not None
    assert done.stdout.split()[-1:] == [str(student.parameters)], done.stderr


def test_resolved_config_runs_again_to_the_same_result(finished: Result, tmp_path: Path) -> None:
    data = yaml.safe_load((finished.output_dir / "config.resolved.yaml").read_text(encoding="utf-8"))
    assert data["training"]["seed"] == 0 and data["versions"]["torch"]
    data["output_dir"] = str(tmp_path / "again")
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(data), encoding="utf-8")
    result = compress(again)
    assert [c.raw_metric for c in result.schedule.candidates] == [c.raw_metric for c in finished.schedule.candidates]
    same = load(result.output_dir / "student").state_dict()
    for name, value in load(finished.output_dir / "student").state_dict().items():
        assert torch.equal(value, same[name]), name


@pytest.mark.parametrize("guide", [pytest.param("teacher", marks=pytest.mark.slow), "both"])
def test_the_guide_is_recorded_and_changes_the_student_alone(
    guide: str, finished: Result, run_files: Path, tmp_path: Path
) -> None:
    result = run(run_files, tmp_path / "out", distillation={"guide": guide}, trainer="transformers")
    assert (result.schedule.guide, finished.schedule.guide) == (guide, "assistant")
    assert result.schedule.assistants == finished.schedule.assistants
    assert result.assistant is not None and finished.assistant is not None
    theirs, others = result.assistant.state_dict(), finished.assistant.state_dict()
    assert all(torch.equal(value, others[name]) for name, value in theirs.items())
    student, other = result.student.state_dict(), finished.student.state_dict()
    assert any(not torch.equal(value, other[name]) for name, value in student.items())


@pytest.mark.parametrize(
    "rule", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("lambda", "log_loss")), "gap"]
)
def test_select_says_of_each_rule_what_a_run_by_it_chose(
    rule: Rule, finished: Result, run_files: Path, tmp_path: Path
) -> None:
    settings = {"candidates": [0.6, 0.4], "rule": rule, "halving": False}
    record = run(run_files, tmp_path / "out", scheduler_config=settings).schedule
    assert (record.chosen_by, record.lam) == (rule, 0.2 if rule == "lambda" else None)
    assert select_again(tmp_path / "out") == record.model_copy(update={"seconds": {}})
    losses = {one.scale: (one.log_loss or 0) + (one.gap or 0) * (rule == "gap") for one in record.candidates}
    if rule != "lambda":
        assert record.assistants == [min(losses, key=lambda scale: losses[scale])]
    shares = [one.chosen_in for one in record.candidates]
    assert None not in shares and sum(share or 0 for share in shares) == pytest.approx(1)
    # The other run trained the same network, and was asked by another rule.
    again = select_again(finished.output_dir, rule=rule)
    assert again.assistants == record.assistants
    assert [one.gap for one in again.candidates] == pytest.approx([one.gap for one in record.candidates])


def test_where_the_teacher_wins_the_student_is_that_of_direct(run_files: Path, tmp_path: Path) -> None:
    settings = {"candidates": [0.6, 0.4], "rule": "log_loss", "include_teacher": True}
    brief = {**make_config(run_files)["training"], "max_steps": 2, "learning_rate": 1e-6}  # nothing is learned
    result = run(run_files, tmp_path / "out", scheduler_config=settings, training=brief)
    record = result.schedule
    assert [one.scale for one in record.candidates] == [1.0, 0.6, 0.4]
    teacher = record.candidates[0]
    assert teacher.log_loss == min(one.log_loss or math.inf for one in record.candidates) and teacher.selected
    assert (record.assistants, result.assistant) == ([], None)
    assert select_again(tmp_path / "out") == record.model_copy(update={"seconds": {}})
    direct = run(run_files, tmp_path / "direct", scheduler="direct", scheduler_config={}, training=brief)
    theirs = direct.student.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in result.student.state_dict().items())
    assert "no assistant" in markdown_table(schedule_grid(record))


@pytest.mark.parametrize(
    ("scheduler", "roles"),
    [
        ("direct", ["teacher", "student"]),
        ("fixed", ["teacher", "assistant", "student"]),
        ("maxidisc", ["teacher", "assistant", "student"]),
    ],
)
def test_other_schedulers_run_on_the_same_config(
    scheduler: str, roles: list[str], run_files: Path, tmp_path: Path
) -> None:
    result = run(run_files, tmp_path / "out", scheduler=scheduler)
    assert [row.role for row in result.results.rows] == roles
    assert result.schedule.scheduler == scheduler
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.6
    if scheduler == "maxidisc":
        best = max(result.schedule.candidates, key=lambda candidate: (candidate.raw_metric, -candidate.scale))
        assert result.schedule.assistants == [best.scale]
    if scheduler == "fixed":
        assert result.schedule.assistants == [0.5]


def test_without_a_scheduler_the_pipeline_distils_directly(run_files: Path) -> None:
    data = make_config(run_files)
    del data["scheduler"]
    assert CompressionConfig.model_validate(data).scheduler == "direct"


def test_two_assistants_in_a_row(run_files: Path, tmp_path: Path) -> None:
    settings = {"candidates": [0.6, 0.5, 0.4], "assistants": 2}
    result = run(run_files, tmp_path / "out", scheduler_config=settings)
    scales = result.schedule.assistants
    assert len(scales) == 2 and scales[0] > scales[1]
    assert [row.role for row in result.results.rows] == ["teacher", "assistant 1", "assistant 2", "student"]
    first, second = (load(result.output_dir / f"assistant-{number}") for number in (1, 2))
    assert count_parameters(first) > count_parameters(second)
    assert result.assistant is not None and count_parameters(result.assistant) == count_parameters(second)


def test_regression(tmp_path: Path) -> None:
    make_run_files(tmp_path, regression=True)
    result = compress(tmp_path / "compression.yaml")
    candidate = result.schedule.candidates[0]
    assert candidate.metric == pytest.approx((candidate.raw_metric + 1) / 2)
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > 0.3


def test_early_stopping_ends_a_stage_that_does_not_improve(run_files: Path, tmp_path: Path) -> None:
    training = {
        **make_config(run_files)["training"],
        "num_train_epochs": 6,
        "learning_rate": 1e-12,
        "save_total_limit": 9,
    }
    epochs = []

    class Watch:
        """A plug-in that reads how far the stage got while its checkpoints are there."""

        @hookimpl
        def minidisc_stage_finished(self, stage: str, seconds: float, output_dir: Path) -> None:
            for state in (output_dir / stage).glob("checkpoint-*/trainer_state.json"):
                epochs.append(json.loads(state.read_text(encoding="utf-8"))["epoch"])

    watch = Watch()
    host().manager.register(watch)
    try:
        run(run_files, tmp_path / "out", training=training, early_stopping_patience=1, scheduler="direct")
    finally:
        host().manager.unregister(watch)
    # Nothing is learned: the second epoch is no better than the first, and there is no third.
    assert max(epochs) == 2


@pytest.mark.slow  # tests/faults kill runs at more moments, in less time
def test_killed_run_resumes(run_files: Path, tmp_path: Path) -> None:
    """Killed in the middle of the student's stage, a run ends as one that was never killed."""
    training = {**make_config(run_files)["training"], "num_train_epochs": 4}
    settings = make_config(run_files, output_dir=str(tmp_path / "out"), training=training)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "minidisc_plugin.cli", "run", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    student = tmp_path / "out" / "checkpoints" / "student"
    deadline = time.monotonic() + 200
    while not list(student.glob("checkpoint-*/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    journal = json.loads((tmp_path / "out" / "checkpoints" / "journal.json").read_text(encoding="utf-8"))
    assert "sandwich" in journal and "student" not in journal

    with pytest.raises(RunDirectoryError, match="--resume"):
        compress(config)
    resumed = compress(config, resume=True)
    assert resumed.schedule.seconds["sandwich"] == journal["sandwich"]["seconds"]
    whole = compress(CompressionConfig.model_validate({**settings, "output_dir": str(tmp_path / "whole")}))
    expected = whole.student.state_dict()
    for name, value in resumed.student.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0)


def test_resuming_a_finished_run_changes_nothing(run_files: Path, tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(
        make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct")
    )
    result = compress(config)
    before = (result.output_dir / "results.json").stat().st_mtime_ns
    assert compress(config, resume=True).output_dir == result.output_dir
    assert (result.output_dir / "results.json").stat().st_mtime_ns == before


def test_overwrite_replaces_the_run(run_files: Path, tmp_path: Path) -> None:
    run(run_files, tmp_path / "out")
    config = make_config(run_files, output_dir=str(tmp_path / "out"), scheduler="direct")
    compress(CompressionConfig.model_validate(config), overwrite=True)
    assert not (tmp_path / "out" / "assistant").exists()
    assert not (tmp_path / "out" / "tradeoff.png").exists()


def test_schedule_in_a_script_of_ones_own(run_files: Path, tmp_path: Path) -> None:
    teacher = load(run_files / "teacher")
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    tokenizer = AutoTokenizer.from_pretrained(run_files / "teacher")
    rows = make_rows(120, seed=1)
    features = tokenizer([row["sentence"] for row in rows])
    dataset = Dataset.from_dict({**features, "labels": [row["label"] for row in rows]})
    schedule = MiniDisc(target_sparsity=0.8, lam=0.0, candidates=[0.6, 0.4]).schedule(
        teacher,
        train_dataset=dataset,
        args=TrainingArguments(str(tmp_path / "work"), max_steps=4, report_to="none", use_cpu=True),
        compute_metrics=build_compute_metrics("accuracy", regression=False),
        metric="accuracy",
        processing_class=tokenizer,
    )
    assert schedule.assistant is not None
    assert count_parameters(schedule.student) < count_parameters(schedule.assistant) < count_parameters(teacher)
    assert [c.selected for c in schedule.candidates].count(True) == 1
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not os.path.exists("nc_workspace")
