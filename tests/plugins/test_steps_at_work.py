"""Steps of plug-ins that fail, or spoil what they find: named, with an exit status."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin import CompressionConfig
from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.run import Run
from minidisc_plugin.foundation.errors import PluginError, PluginFailedError
from minidisc_plugin.foundation.names import inside, is_plain, stays_inside
from minidisc_plugin.plugins import pick
from minidisc_plugin.plugins.guarded import make_step
from minidisc_plugin.run.directory.folder import RunDirectory
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_bert, make_config
from tests.plugins.acme import (
    giving,
    later,
    raising,
    record,
    registered,
    schedule,
    step,
)


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
        made = schedule((assistant,), student, record(assistants=[0.5]))
        state = Run(prepared, bench, directory, lambda: made)
        state.schedule = made
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
