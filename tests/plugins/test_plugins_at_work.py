"""Plug-ins that fail, or answer with garbage, while a run is prepared or under way: named, with an exit status."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from minidisc_plugin import hookimpl
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.scheduler import Schedule
from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.plugins import event, host
from minidisc_plugin.schedulers.direct import Direct
from tests.builders.tiny import make_config
from tests.plugins.acme import (
    giving,
    objective,
    raising,
    registered,
    scheduler,
    step,
)

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
