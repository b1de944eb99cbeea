"""Schedulers of plug-ins that fail, or answer with garbage: named, with an exit status."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule
from minidisc_plugin.foundation.errors import ConfigError, MetricError, PluginError, PluginFailedError
from minidisc_plugin.plugins.schedulers import decide, make_scheduler
from tests.plugins.acme import (
    ASSISTANT,
    STUDENT,
    TEACHER,
    endless,
    giving,
    raising,
    record,
    registered,
    schedule,
    scheduler,
)

SCALES = {
    "none": giving(None),
    "text": giving("0.5"),
    "nan": giving([float("nan")]),
    "outside": giving([0.1]),
    "teacher": giving([1.0]),
    "twice": giving([0.5, 0.5]),
    "ascending": giving([0.4, 0.6]),
    "true": giving([True]),
    "endless": endless,
    "raises": raising(RuntimeError("no scales")),
    "exits": raising(SystemExit(0)),
}


@pytest.mark.parametrize("kind", SCALES)
def test_scales_that_are_none(kind: str) -> None:
    with registered(schedulers=[scheduler(candidate_scales=SCALES[kind])]):
        with pytest.raises(PluginError, match=r"^plug-in acme: scheduler 'odd'") as caught:
            make_scheduler("odd", {}, 0.8)
        assert caught.value.exit_status == 2 and "candidate_scales" in str(caught.value)


def stage(name: Any = "student", teacher_scale: Any = 1.0, passes: Any = None) -> PlannedStage:
    return PlannedStage(name, teacher_scale, {0.2: 1.0} if passes is None else passes)


STAGES = {
    "none": giving(None),
    "empty": giving([]),
    "text": giving("student"),
    "names": giving(["student"]),
    "path": giving([stage("../student")]),
    "number": giving([stage(7)]),
    "twice": giving([stage(), stage()]),
    "teacher": giving([stage(teacher_scale="1")]),
    "beyond": giving([stage(teacher_scale=2.0)]),
    "no-passes": giving([stage(passes={})]),
    "list-passes": giving([stage(passes=[0.2])]),
    "text-passes": giving([stage(passes={0.2: "1"})]),
    "nan-passes": giving([stage(passes={float("nan"): 1.0})]),
    "raises": raising(ValueError("no stages")),
    "interrupts": raising(KeyboardInterrupt()),
}


@pytest.mark.parametrize("kind", STAGES)
def test_stages_that_are_none(kind: str) -> None:
    with registered(schedulers=[scheduler(stages=STAGES[kind])]):
        with pytest.raises(PluginError, match=r"^plug-in acme: scheduler 'odd'") as caught:
            make_scheduler("odd", {}, 0.8)
        assert caught.value.exit_status == 2 and "stages" in str(caught.value)


@pytest.mark.parametrize(
    "members",
    [
        {"target_scale": property(giving("0.2"))},
        {"target_scale": property(giving(0.5))},
        {"target_scale": property(raising(OSError("none")))},
        {"model_post_init": raising(SystemExit())},
        {"model_post_init": lambda self, _: setattr(self, "target_sparsity", 0.5)},
        {"model_dump": raising(TypeError("cannot be written"))},
    ],
    ids=range(6),
)
def test_settings_that_are_not_those_of_the_config(members: dict[str, Any]) -> None:
    odd = registered(schedulers=[scheduler(**members)])
    with odd, pytest.raises(PluginError, match=r"^plug-in acme: scheduler 'odd'"):
        make_scheduler("odd", {}, 0.8)


def test_a_refusal_on_purpose_is_passed_on() -> None:
    error = ConfigError("scheduler_config.x: 3 cannot be used: give 2")
    odd = registered(schedulers=[scheduler(candidate_scales=raising(error))])
    with odd, pytest.raises(ConfigError, match=r"^scheduler_config\.x: 3 cannot be used: give 2$"):
        make_scheduler("odd", {}, 0.8)


BENCH: Any = SimpleNamespace(teacher=TEACHER)


SCHEDULES = {
    "none": None,
    "tuple": ([], STUDENT, record()),
    "text": "student",
    "class": Schedule,
    "record-none": Schedule([], STUDENT, None),
    "record-dict": Schedule([], STUDENT, record().model_dump()),
    "record-wrong": schedule(kept=record(rule=7)),
    "record-other-target": schedule(kept=record(target_scale=0.5)),
    "student-none": schedule(student=None),
    "student-state": schedule(student=STUDENT.state_dict()),
    "student-module": schedule(student=torch.nn.Linear(2, 2)),
    "student-class": schedule(student=PreTrainedModel),
    "student-teacher": schedule(student=TEACHER),
    "student-assistant": schedule((STUDENT,), kept=record(assistants=[0.5])),
    "assistant-text": schedule(("x",), kept=record(assistants=[0.5])),
    "assistant-teacher": schedule((TEACHER,), kept=record(assistants=[0.5])),
    "assistants-none": schedule(None),
    "assistants-other-number": schedule((ASSISTANT,)),
    "distilled": schedule(distilled="yes"),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_that_are_none(kind: str) -> None:
    with registered(schedulers=[scheduler(run=giving(SCHEDULES[kind]))]):
        made = make_scheduler("odd", {}, 0.8)
        with pytest.raises(PluginFailedError, match=r"^plug-in acme: scheduler 'odd': run gives ") as caught:
            decide(made, BENCH)
    assert caught.value.exit_status == 1 and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_schedules_that_are_one() -> None:
    for sound in (schedule(), schedule((ASSISTANT,), kept=record(assistants=[0.5]), distilled=True)):
        with registered(schedulers=[scheduler(run=giving(sound))]):
            assert decide(make_scheduler("odd", {}, 0.8), BENCH) is sound


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("lost its way"), "RuntimeError: lost its way"),
        (SystemExit(0), "SystemExit: 0"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (StopIteration(), "StopIteration"),
        (OSError(28, "No space left on device", "/full/file"), "/full/file: No space left on device"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_run_that_raises(error: BaseException, told: str) -> None:
    with registered(schedulers=[scheduler(run=raising(error))]):
        made = make_scheduler("odd", {}, 0.8)
        with pytest.raises(PluginFailedError, match=r"^plug-in acme: scheduler 'odd', run, failed: ") as caught:
            decide(made, BENCH)
    assert told in str(caught.value) and caught.value.__cause__ is error


def test_what_the_workbench_refuses_is_passed_on() -> None:
    odd = registered(schedulers=[scheduler(run=raising(MetricError("metric: 'x' is not computed")))])
    with odd, pytest.raises(MetricError, match=r"^metric: 'x' is not computed$"):
        decide(make_scheduler("odd", {}, 0.8), BENCH)
