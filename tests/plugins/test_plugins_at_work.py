"""Plug-ins that fail, or answer with garbage, while a run is prepared or under way: named, with an exit status."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from minidisc_plugin import CompressionConfig, hookimpl
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.config import DistillationConfig
from minidisc_plugin.contracts.records import ScheduleRecord
from minidisc_plugin.contracts.run import Run, Step
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.foundation.errors import ConfigError, MetricError, PluginError, PluginFailedError
from minidisc_plugin.foundation.names import inside, is_plain, stays_inside
from minidisc_plugin.plugins import event, host, pick
from minidisc_plugin.plugins.guarded import make_objective, make_step
from minidisc_plugin.plugins.schedulers import decide, make_scheduler
from minidisc_plugin.run.directory.folder import RunDirectory
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.schedulers.direct import Direct
from minidisc_plugin.training.objectives import KnowledgeDistillation
from tests.builders.tiny import make_bert, make_config
from tests.tasks.making import make_task_run


class Acme:
    """A plug-in that registers what it is given."""

    def __init__(self, schedulers: Any = (), objectives: Any = (), steps: Any = ()) -> None:
        self.schedulers, self.objectives, self.steps = schedulers, objectives, steps

    @hookimpl
    def minidisc_register_schedulers(self) -> Any:
        return self.schedulers

    @hookimpl
    def minidisc_register_objectives(self) -> Any:
        return self.objectives

    @hookimpl
    def minidisc_register_steps(self) -> Any:
        return self.steps


@contextmanager
def registered(plugin: object = None, /, **things: Any) -> Iterator[None]:
    """A plug-in called acme, in the block."""
    plugin = plugin or Acme(**things)
    host().manager.register(plugin, "acme")
    try:
        yield
    finally:
        host().manager.unregister(plugin)
        host()._errors.clear()


def scheduler(**members: Any) -> type[Scheduler]:
    """A class like Direct, called odd, with other members."""
    return type("Odd", (Direct,), {"name": "odd", "__module__": __name__, **members})


def raising(error: BaseException) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error

    return method


def giving(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


async def later(*_: Any, **__: Any) -> None:
    """Never runs."""


def endless(_: Any) -> Iterator[float]:
    while True:
        yield 0.5


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


TEACHER, STUDENT, ASSISTANT = (make_bert(seed=seed) for seed in range(3))
BENCH: Any = SimpleNamespace(teacher=TEACHER)


def record(**changes: Any) -> ScheduleRecord:
    given = {
        "scheduler": "odd",
        "metric": "accuracy",
        "rule": "by chance",
        "target_scale": 0.2,
        "target_sparsity": 0.8,
        "assistants": [],
        "candidates": [],
        **changes,
    }
    return ScheduleRecord.model_construct(**given)


def schedule(assistants: Any = (), student: Any = STUDENT, kept: Any = None, distilled: Any = False) -> Schedule:
    return Schedule(
        list(assistants) if isinstance(assistants, tuple) else assistants, student, kept or record(), distilled
    )


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


def objective(**members: Any) -> type[KnowledgeDistillation]:
    return type("Odd", (KnowledgeDistillation,), {"name": "odd", **members})


def made_objective() -> Any:
    found = pick("objective", "odd", "distillation.objective")
    return make_objective(found, DistillationConfig(), regression=False)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "None, which is no tensor"),
        (0.5, "0.5, which is no tensor"),
        ("loss", "'loss', which is no tensor"),
        (torch.zeros(3, requires_grad=True), "a tensor of shape (3,)"),
        (torch.zeros((), dtype=torch.int64), "type torch.int64"),
        (torch.zeros(()), "a tensor without gradient"),
        ((number for number in ()), "a generator, which nobody goes through"),
    ],
    ids=range(7),
)
def test_losses_that_are_none(result: object, told: str) -> None:
    with registered(objectives=[objective(__call__=giving(result))]):
        loss = made_objective()
        with pytest.raises(PluginFailedError, match=r"^plug-in acme: objective 'odd': its loss is ") as caught:
            loss(None, None, {})
    assert told in str(caught.value)


def test_objectives_that_fail() -> None:
    with registered(objectives=[objective(__call__=raising(SystemExit(0)), compared_states=giving([7]))]):
        loss = made_objective()
        with pytest.raises(PluginFailedError, match=r"objective 'odd', a loss, failed: SystemExit: 0$"):
            loss(None, None, {})
        with pytest.raises(PluginFailedError, match=r"objective 'odd': compared_states gave \[7\] of 3$"):
            loss.compared_states(3)
    odd = registered(objectives=[objective(__init__=raising(TypeError("no settings")))])
    with odd, pytest.raises(PluginError, match=r"objective 'odd', made, failed: TypeError: no settings$"):
        made_objective()
    odd = registered(objectives=[objective(__new__=giving(None))])
    with odd, pytest.raises(PluginError, match=r"objective 'odd': made None, which is no Objective"):
        made_objective()


def mse(student: Any, teacher: Any) -> torch.Tensor:
    return torch.nn.functional.mse_loss(student.logits, teacher.logits)


WRITERS: list[tuple[Callable[..., Any], str]] = [
    (lambda _, student, teacher, batch: (teacher.logits.mul_(0), mse(student, teacher))[1], "the teacher's outputs"),
    (lambda _, student, teacher, batch: (setattr(teacher, "logits", 1), student.logits.sum())[1], "the teacher's"),
    (lambda _, student, teacher, batch: (batch.clear(), mse(student, teacher))[1], "the batch"),
    (lambda _, student, teacher, batch: (batch["input_ids"].zero_(), mse(student, teacher))[1], "the batch"),
    (lambda _, student, teacher, batch: (batch.update(x=student.logits), mse(student, teacher))[1], "the batch"),
]
SECRET_WRITER = lambda _, student, teacher, batch: (teacher.logits.data.mul_(0), mse(student, teacher))[1]  # noqa: E731
CONSTANTS: list[Callable[..., Any]] = [
    lambda *_: torch.zeros((), requires_grad=True),
    lambda *_: torch.nn.Linear(2, 1)(torch.ones(2)).sum(),
    lambda _, student, teacher, batch: student.logits.detach().sum() * torch.ones((), requires_grad=True),
]


def outputs() -> tuple[Any, Any, dict[str, Any]]:
    """What an objective is given."""
    student, teacher = (SimpleNamespace(logits=torch.rand(3, 2), hidden_states=(torch.rand(3, 4),)) for _ in range(2))
    student.logits.requires_grad_()
    return student, teacher, {"input_ids": torch.ones(3, 5, dtype=torch.long)}


@pytest.mark.parametrize(("call", "told"), WRITERS, ids=range(len(WRITERS)))
def test_objectives_that_write_into_what_they_are_given(call: Any, told: str) -> None:
    with registered(objectives=[objective(__call__=call)]):
        with pytest.raises(PluginError, match=rf"^plug-in acme: objective 'odd': it writes into {told}") as caught:
            made_objective().rehearse(*outputs())
        assert caught.value.exit_status == 2
        with pytest.raises(PluginFailedError, match=rf"^plug-in acme: objective 'odd': it writes into {told}"):
            made_objective()(*outputs())


@pytest.mark.parametrize("call", [*CONSTANTS, SECRET_WRITER], ids=range(len(CONSTANTS) + 1))
def test_objectives_are_rehearsed(call: Any) -> None:
    told = "it writes into the teacher's" if call is SECRET_WRITER else "its loss depends on no weight of the student"
    odd = registered(objectives=[objective(__call__=call)])
    with odd, pytest.raises(PluginError, match=rf"^plug-in acme: objective 'odd': {told}"):
        made_objective().rehearse(*outputs())


class Backwards(torch.autograd.Function):
    """Has no gradient."""

    @staticmethod
    def forward(_: Any, given: torch.Tensor) -> torch.Tensor:
        return given.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no way back")


def test_objectives_without_a_way_back() -> None:
    call = lambda _, student, *others: Backwards.apply(student.logits).sum()  # noqa: E731
    odd = registered(objectives=[objective(__call__=call)])
    with odd, pytest.raises(PluginError, match=r"objective 'odd', a gradient, failed: RuntimeError: no way back$"):
        made_objective().rehearse(*outputs())


def test_objectives_that_can_be_trained_by() -> None:
    for call in (
        lambda _, student, teacher, batch: mse(student, teacher),
        lambda _, student, teacher, batch: (teacher.logits.clone().zero_() - student.logits).square().mean(),
    ):
        with registered(objectives=[objective(__call__=call)]):
            made_objective().rehearse(*outputs())
            assert made_objective()(*outputs()).requires_grad


def step(**members: Any) -> type[Step]:
    return type("Odd", (Step,), {"name": "odd", "run": giving(None), **members})


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"__init__": raising(SystemExit(0))}, "step 'odd', made, failed: SystemExit: 0"),
        ({"__new__": giving(7)}, "step 'odd': made 7, which is no Step"),
        ({"check": raising(ZeroDivisionError("by zero"))}, "step 'odd', check, failed: ZeroDivisionError: by zero"),
        ({"check": raising(KeyboardInterrupt())}, "step 'odd', check, failed: KeyboardInterrupt"),
    ],
    ids=range(4),
)
def test_steps_that_fail_at_once(members: dict[str, Any], told: str, run_files: Path, tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(make_config(run_files, steps=["odd"], output_dir=str(tmp_path / "out")))
    with registered(steps=[step(**members)]), pytest.raises(PluginError) as caught:
        prepare(config, tmp_path / "checkpoints")
    assert str(caught.value) == f"plug-in acme: {told}" and caught.value.exit_status == 2
    assert list(tmp_path.iterdir()) == []


def spoil(name: str, value: Any) -> Callable[[Any, Run], None]:
    return lambda _, run: setattr(run, name, value)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (raising(RuntimeError("half way")), "step 'odd', run, failed: RuntimeError: half way"),
        (raising(SystemExit(0)), "step 'odd', run, failed: SystemExit: 0"),
        (lambda _, run: (yield_ for yield_ in ()), "step 'odd': run returned a generator, which nobody goes through"),
        (lambda _, run: later(), "step 'odd': run returned a coroutine, which nobody awaits"),
        (spoil("schedule", None), "step 'odd': run put something else in place"),
        (spoil("artefacts", None), "step 'odd': run left other artefacts than it found: None"),
        (spoil("artefacts", ["x"]), "step 'odd': run left other artefacts than it found: ['x']"),
        (lambda _, run: run.artefacts.append(None), "step 'odd': run left other artefacts"),
        (lambda _, run: run.artefacts.append(Artefact("x", "x", "x", Path(), print)), "step 'odd': run left other"),
        (lambda _, run: run.artefacts.append(Artefact("teacher", "x", "x", "x", print)), "step 'odd': run left other"),
        (lambda _, run: run.artefacts.append(run.artefacts[0]), "step 'odd': run left two artefacts called 'student, "),
        (lambda _, run: run.artefacts.clear(), "step 'odd': run left other artefacts than it found: []"),
    ],
    ids=range(12),
)
def test_steps_that_fail_later(run: Any, told: str, run_files: Path, tmp_path: Path) -> None:
    assert failure(run, run_files, tmp_path).startswith(f"plug-in acme: {told}")


def failure(run: Any, files: Path, folder: Path, **members: Any) -> str:
    """What is said of a step that runs so, once a student was saved; nothing where it may."""
    config = CompressionConfig.model_validate(make_config(files, output_dir=str(folder / "out")))
    student, assistant = make_bert(seed=1), make_bert(seed=2)
    bench: Any = SimpleNamespace(teacher=make_bert(seed=0))
    prepared: Any = SimpleNamespace(config=config)
    directory = RunDirectory(folder / "out")
    with directory.opened(config, {}, overwrite=False, resume=False):
        with directory.writing("student/") as place:
            student.save_pretrained(place)
        with directory.writing("mine/") as place:
            place.mkdir()
            (place / "old.txt").write_text("old", encoding="utf-8")
        state = Run(prepared, bench, directory)
        state.schedule = schedule((assistant,), student, record(assistants=[0.5]))
        state.artefacts.append(Artefact("student", "torch fp32", "torch", Path("x"), print))
        with registered(steps=[step(run=run, **members)]):
            made = make_step(pick("step", "odd", "steps"))
            try:
                made.run(state)
            except PluginFailedError as error:
                return str(error)
    return ""


def ruined(name: str, content: str | None) -> Callable[[Any, Run], None]:
    """A step that writes into a file of the run, or removes it."""

    def run(_: Any, run: Run) -> None:
        file = run.directory.root / name
        if content is not None:
            file.write_text(content, encoding="utf-8")
        elif file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()

    return run


def spoiled(change: Callable[[Run], object]) -> Callable[[Any, Run], None]:
    return lambda _, run: void(change(run))


def void(_: object) -> None:
    """Nothing, whatever a step did."""


TOUCHES: list[tuple[Callable[[Any, Run], None], str]] = [
    (ruined("student/config.json", "{}"), "run left student/config.json damaged"),
    (ruined("student", None), "run left student/"),
    (ruined("student/model.safetensors", None), "run left student/model.safetensors missing"),
    (ruined("mine/old.txt", "new"), "run left mine/old.txt damaged"),
    (ruined("run.json", None), "run removed run.json"),
    (ruined("checkpoints", None), "run removed "),
    (ruined(".", None), "run removed "),
    (spoil("directory", None), "run put something else in place of what later steps need: run.directory"),
    (spoiled(lambda run: setattr(run.schedule, "student", None)), "need: the student"),
    (spoiled(lambda run: setattr(run.schedule, "student", make_bert(seed=1))), "need: the student"),
    (spoiled(lambda run: run.schedule.assistants.clear()), "need: the assistant 1"),
    (spoiled(lambda run: setattr(run.schedule, "assistants", None)), "need: the assistant 1"),
    (spoiled(lambda run: setattr(run.schedule, "record", None)), "need: run.schedule.record"),
    (spoiled(lambda run: setattr(run.schedule, "distilled", 7)), "run changed run.schedule.distilled"),
    (spoiled(lambda run: setattr(run.bench, "teacher", None)), "need: the teacher"),
    (spoiled(lambda run: setattr(run.directory, "root", Path("/"))), "run changed run.directory"),
    (spoiled(lambda run: setattr(run.prepared.config, "output_dir", "x")), "run changed run.prepared.config"),
    (spoiled(lambda run: next(run.schedule.student.parameters()).data.fill_(float("nan"))), "weights of the student"),
    (spoiled(lambda run: next(run.bench.teacher.parameters()).data.mul_(2)), "weights of the teacher"),
    (spoiled(lambda run: run.schedule.student.bfloat16()), "weights of the student"),
    (spoiled(lambda run: run.schedule.assistants[0].classifier.reset_parameters()), "weights of the assistant 1"),
]


@pytest.mark.parametrize(("run", "told"), TOUCHES, ids=range(len(TOUCHES)))
def test_steps_leave_what_they_find(run: Any, told: str, run_files: Path, tmp_path: Path) -> None:
    said = failure(run, run_files, tmp_path)
    assert said.startswith("plug-in acme: step 'odd': run ") and told in said


def test_steps_may_add_and_write_their_own(run_files: Path, tmp_path: Path) -> None:
    def run(_: Any, run: Run) -> None:
        run.schedule.student.eval().requires_grad_(False)
        copy.deepcopy(run.schedule.student).bfloat16().save_pretrained(run.directory.root / "copy")
        (run.directory.root / "mine" / "old.txt").write_text("new", encoding="utf-8")
        (run.directory.root / "student" / "more.txt").write_text("more", encoding="utf-8")
        (run.directory.root / "student" / "config.json").touch()  # which is what it was
        with run.directory.writing("further.txt") as file:
            file.write_text("further", encoding="utf-8")

    assert failure(run, run_files, tmp_path, writes={"mine/": "what it had written", "copy/": "the student"}) == ""


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/b", "", ".", "..", "a\0", "a\n", ".x", "x" * 101, None, 7, "a\\b", "x "]
)
def test_names_that_lead_elsewhere(name: Any, tmp_path: Path) -> None:
    assert not is_plain(name)
    with pytest.raises(PluginError, match="cannot name a folder"):
        inside(tmp_path, name, "stage")


@given(st.text())
def test_a_path_that_stays_inside_does(name: str) -> None:
    root = Path("/some/where")
    if stays_inside(name):
        found = Path(os.path.normpath(root / name))
        assert found.is_relative_to(root) and found != root


@pytest.mark.parametrize(
    "name", ["sandwich", "assistant-2", "trial-0.6-assistant", "student-bf16", "größe", "export 2"]
)
def test_names_that_are_plain(name: str, tmp_path: Path) -> None:
    assert inside(tmp_path, name, "stage") == tmp_path / name and stays_inside(f"{name}/")


EVENTS = ["candidates_specified", "candidate_evaluated", "assistant_selected", "stage_finished"]


class Wrecker:
    """Fails at each event in another way, and spoils what it is given."""

    @hookimpl
    def minidisc_candidates_specified(self, candidates: list[Any]) -> None:
        candidates[0].heads.clear()
        candidates.clear()
        sys.exit(0)

    @hookimpl
    def minidisc_candidate_evaluated(self, candidate: Any) -> None:
        object.__setattr__(candidate, "metric", 0.0)
        raise KeyboardInterrupt

    @hookimpl
    def minidisc_assistant_selected(self, assistants: list[Any]) -> None:
        assistants.append(None)
        raise OSError(28, "No space left on device")

    @hookimpl
    def minidisc_stage_finished(self, output_dir: Path) -> None:
        os.chdir("/")
        raise MetricError("metric: not mine")


class Witness:
    """Is told everything, however many others fail."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    def minidisc_candidates_specified(self, candidates: list[Any]) -> None:
        self.told += [f"specified {candidate.scale:g}" for candidate in candidates]

    @hookimpl
    def minidisc_candidate_evaluated(self, candidate: Any) -> None:
        self.told.append(f"evaluated {candidate.scale:g}")

    @hookimpl
    def minidisc_assistant_selected(self, assistants: list[Any]) -> None:
        self.told.append(f"selected {len(assistants)}")

    @hookimpl
    def minidisc_stage_finished(self, stage: str) -> None:
        self.told.append(stage)


def run(files: Path, folder: Path, **changes: Any) -> int:
    """Exit status of a run into a folder."""
    config = make_config(files, output_dir=str(folder / "out"), trainer="transformers", **changes)
    (folder / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return main(["run", str(folder / "c.yaml")])


def test_a_listener_costs_no_run(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    witness, here = Witness(), os.getcwd()
    host().manager.register(witness)
    try:
        with registered(Wrecker()), caplog.at_level(logging.WARNING, "minidisc_plugin.plugins"):
            assert run(run_files, tmp_path) == 0
    finally:
        host().manager.unregister(witness)
    assert os.getcwd() == here
    assert witness.told == [
        *("importance", "specified 0.6", "specified 0.4", "sandwich", "selection"),
        *("evaluated 0.6", "evaluated 0.4", "selected 1", "student", "report"),
    ]
    told = [line.getMessage() for line in caplog.records if line.name.startswith("minidisc_plugin.plugins")]
    assert len(told) == 5 + 1 + 2 + 1  # stages, and the three other events
    for name, reason in zip(
        EVENTS, ("SystemExit: 0", "KeyboardInterrupt", "OSError: ", "MetricError: metric"), strict=True
    ):
        line = f"plug-in acme: minidisc_{name} failed, and the run goes on: {reason}"
        assert any(found.startswith(line) for found in told)
    found = json.loads((tmp_path / "out" / "schedule.json").read_text(encoding="utf-8"))
    assert len(found["candidates"]) == 2 and all(candidate["heads"] for candidate in found["candidates"])


class Putter:
    """Puts off what it has to say."""

    @hookimpl
    async def minidisc_stage_finished(self, stage: str) -> None: ...

    @hookimpl
    def minidisc_assistant_selected(self, assistants: list[Any]) -> Iterator[None]:
        yield


def test_a_listener_that_never_runs_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with registered(Putter()), caplog.at_level(logging.WARNING, "minidisc_plugin.plugins"):
        event("minidisc_stage_finished", stage="student", seconds=1.0, output_dir=Path())
        event("minidisc_assistant_selected", scheduler="minidisc", assistants=[])
    told = [line.getMessage() for line in caplog.records]
    assert [line.partition("it returned ")[2].split(",")[0] for line in told] == ["a coroutine", "a generator"]
    assert all(line.startswith("plug-in acme: minidisc_") for line in told)


class Leads(Direct):
    """Trains a stage whose name leads elsewhere, or that ran before."""

    name = "leads"
    stage: str = "once"
    again: bool = False

    def run(self, bench: Any) -> Schedule:
        nested = bench.ranked_network()
        for _ in range(1 + self.again):
            bench.train(nested, [1.0], bench.teacher, self.stage)
        return super().run(bench)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stage": "../../elsewhere"}, "stage '../../elsewhere' cannot name a folder in "),
        ({"stage": "writing"}, "stage 'writing': the name is taken"),
        ({"again": True}, "stage 'once': the name is taken"),
        ({"stage": "student"}, "stage 'student': the name is taken"),
    ],
    ids=range(4),
)
def test_stages_stay_in_their_folder(
    settings: dict[str, Any], told: str, run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    with registered(schedulers=[Leads]):
        assert run(run_files, tmp_path / "in", scheduler="leads", scheduler_config=settings) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("minidisc: ") and told in error
    assert ("plug-in acme: " in error) == (settings != {"stage": "student"})  # there it is our own step that meets it
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_command_names_what_failed(run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def status(**things: Any) -> tuple[int, str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        changes = {"scheduler": "direct", "scheduler_config": {}}
        changes |= {"scheduler": "odd"} if "schedulers" in things else {}
        changes |= {"distillation": {"objective": "odd"}} if "objectives" in things else {}
        changes |= {"steps": ["odd"]} if "steps" in things else {}
        with registered(**things):
            found = run(run_files, folder, **changes)
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("minidisc: plug-in acme: ")
        return found, line.removeprefix("minidisc: plug-in acme: ")

    assert status(schedulers=[scheduler(stages=giving(None))])[0] == 2
    assert status(schedulers=[scheduler(run=raising(SystemExit(0)))]) == (
        1,
        "scheduler 'odd', run, failed: SystemExit: 0",
    )
    assert status(objectives=[objective(__call__=giving(None))]) == (
        2,
        "objective 'odd': its loss is None, which is no tensor",
    )
    assert status(steps=[step(run=raising(MemoryError()))]) == (1, "step 'odd', run, failed: MemoryError")


@pytest.mark.parametrize(
    ("task", "kind", "metric"),
    [
        ("token-classification", "token-classification", "seqeval"),
        ("question-answering", "question-answering", "squad"),
        ("text-generation", "llama", "bits_saved"),
        ("text2text-generation", "t5", "bits_saved"),
    ],
)
def test_a_sound_objective_is_rehearsed_in_each_task(task: str, kind: str, metric: str, tmp_path: Path) -> None:
    sound = objective(__call__=lambda _, student, teacher, batch: mse(student, teacher))
    changes = {"distillation": {"objective": "odd"}, "trainer": "transformers"}
    with registered(objectives=[sound]):
        prepare(
            CompressionConfig.model_validate(make_task_run(tmp_path, task, kind, metric, **changes)), tmp_path / "c"
        )
