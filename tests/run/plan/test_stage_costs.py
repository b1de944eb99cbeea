"""Costs of stages: arithmetic on the batches that a stage really makes, and on passes that took known times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.run.data.collating import collator_of
from minidisc_plugin.run.plan.calibration import Calibration
from minidisc_plugin.run.plan.stage_costs import StageCost, epoch_of, stage_costs
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.training.dependable import DependableTraining
from tests.builders.tiny import make_config

EXAMPLES = 216  # 240 less the selection split
MACS = {1.0: 1000, 0.6: 600, 0.4: 400, 0.2: 200}
PASSES = {scale: scale for scale in MACS}  # a pass of the whole network takes a second, forward or both


def prepared_for(run_files: Path, tmp_path: Path, training: Mapping[str, Any], **changes: Any) -> Prepared:
    data = make_config(run_files, trainer="transformers", scheduler="direct", max_length=32, **changes)
    data["training"] |= training
    return prepare(CompressionConfig.model_validate(data), tmp_path)


def cost(prepared: Prepared, examples: int, tokens: int, cached: bool = False, update: float = 0.0) -> StageCost:
    timed = Calibration(PASSES, PASSES, update, examples, tokens)
    (stage,) = stage_costs(prepared, MACS, MACS, timed, cached)
    return stage


def test_seconds_of_padded_batches(run_files: Path, tmp_path: Path) -> None:
    prepared = prepared_for(run_files, tmp_path, {"num_train_epochs": 2}, engine={"padding": "max_length"})
    stage = cost(prepared, 24, 32, update=0.001)
    assert stage.steps == 2 * EXAMPLES / 24
    # Teacher and student in every step, and an update of the student's 200 "parameters".
    assert stage.seconds == pytest.approx(stage.steps * (1.0 + 0.2 + 0.2))
    assert stage.relative_time == pytest.approx(1.4 / 2.0)
    # Half of the tokens were timed in the calibration.
    assert cost(prepared, 24, 16).seconds == pytest.approx(stage.steps * 2 * 1.2)


def test_a_cached_teacher_passes_once(run_files: Path, tmp_path: Path) -> None:
    prepared = prepared_for(run_files, tmp_path, {"num_train_epochs": 4}, engine={"padding": "max_length"})
    stage = cost(prepared, 24, 32, cached=True)
    assert stage.seconds == pytest.approx(stage.steps * 0.2 + EXAMPLES / 24 * 1.0)


def test_a_cached_teacher_passes_once_over_all_that_may_be_drawn(run_files: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"engine": {"padding": "max_length"}, "distillation": {"augment": 2}}
    prepared = prepared_for(run_files, tmp_path, {"num_train_epochs": 4}, **changes)
    assert sorted(len(batch) for batch in epoch_of(prepared).batches) == [24] * (EXAMPLES // 24)
    alone = cost(prepared, 24, 32)
    assert alone.steps == 4 * EXAMPLES / 24
    assert alone.seconds == pytest.approx(alone.steps * 1.2)
    assert cost(prepared, 24, 32, cached=True).seconds == pytest.approx(alone.steps * 0.2 + 3 * EXAMPLES / 24)


def test_what_an_objective_learns_before_a_stage_is_two_forward_passes(run_files: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "engine": {"padding": "max_length"},
        "distillation": {"objective": "ted", "ted": {"epochs": 2.0}},
    }
    prepared = prepared_for(run_files, tmp_path, {"num_train_epochs": 4}, **changes)
    lesson, stage = stage_costs(prepared, MACS, MACS, Calibration(PASSES, PASSES, 0.0, 24, 32), False)
    assert (lesson.name, stage.name) == ("student-objective", "student")
    assert (lesson.steps, stage.steps) == (2 * EXAMPLES / 24, 4 * EXAMPLES / 24)
    assert lesson.seconds == pytest.approx(lesson.steps * 1.2)
    assert lesson.relative_time == pytest.approx(1.2 / 2)  # half of the steps that fine-tuning would take
    assert lesson.relative_cost == pytest.approx(1.2 / 3 / 2)
    uncalibrated, _ = stage_costs(prepared, MACS, MACS, None, False)
    assert uncalibrated == StageCost("student-objective", lesson.steps, lesson.relative_cost)


def test_a_step_has_all_the_batches_that_it_accumulates(run_files: Path, tmp_path: Path) -> None:
    settings = {"num_train_epochs": 1, "gradient_accumulation_steps": 3, "per_device_train_batch_size": 8}
    prepared = prepared_for(run_files, tmp_path, settings, engine={"padding": "max_length"})
    stage = cost(prepared, 24, 32)
    assert stage.steps == EXAMPLES / 24
    assert stage.seconds == pytest.approx(stage.steps * 1.2)


def test_batches_of_examples_of_one_length(run_files: Path, tmp_path: Path) -> None:
    prepared = prepared_for(run_files, tmp_path, {"num_train_epochs": 1}, engine={"tokens_per_batch": 100})
    lengths = [len(ids) for ids in prepared.splits.train["input_ids"]]
    epoch = epoch_of(prepared)
    assert sorted(row for batch in epoch.batches for row in batch) == list(range(EXAMPLES))
    assert epoch.sizes == [len(batch) * max(lengths[row] for row in batch) for batch in epoch.batches]
    assert max(epoch.sizes) <= 100
    assert cost(prepared, 24, 32).steps == len(epoch.batches) > math.ceil(EXAMPLES / 24)
    assert abs(sum(lengths[row] for row in epoch.usual) - epoch.mean_size) < 20


def test_the_epoch_is_the_one_that_a_trainer_makes(run_files: Path, tmp_path: Path) -> None:
    from transformers import Trainer

    class Trains(DependableTraining, Trainer):  # type: ignore[misc]
        pass

    prepared = prepared_for(run_files, tmp_path, {})
    trainer = Trains(
        prepared.teacher,
        args=prepared.args,
        train_dataset=prepared.splits.train,
        data_collator=collator_of(prepared),
    )
    widths = [batch["input_ids"].numel() for batch in trainer.get_train_dataloader()]
    assert epoch_of(prepared).sizes == widths
