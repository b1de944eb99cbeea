"""All that runs have made, by size and by speed: what is the best for its bytes, and for its milliseconds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.records import (
    Candidate,
    ModelRow,
    ResultsRecord,
    ScheduleRecord,
    read_results,
    read_schedule,
)
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.reporting.budgets import budget_told
from minidisc_plugin.run.reporting.rows import (
    NOTHING,
    Grid,
    count,
    form_of,
    measured,
    plain,
    score,
    sentence,
    short_names,
    size,
    three,
)

_NOT_MEASURED = float("inf")


@dataclass(frozen=True)
class Form:
    """A model in a runtime, measured.

    Attributes:
        name: Of the run where there are several, of its role, and of its runtime.
        row: What was measured.
        smallest: Whether no other is as good and takes fewer bytes.
        fastest: Whether no other is as good and takes less time for one example.
    """

    name: str
    row: ModelRow
    smallest: bool
    fastest: bool


@dataclass(frozen=True)
class Frontier:
    """What one run has made, or several that report alike.

    Attributes:
        metric: Name of the reported metric.
        split: Name of the reported split.
        forms: In the order of their runs; of a teacher that several runs share, the first.
        slices: Of each run, the candidates that were measured on its selection split, by what it is called.
        notes: How all of it was measured, and what budgets there were.
        budgets: That stood in place of sparsities.
        losses: Those of `max_loss` among them, each with its teacher's metric.
    """

    metric: str
    split: str
    forms: list[Form]
    slices: dict[str, list[Candidate]]
    notes: tuple[str, ...]
    budgets: tuple[Budget, ...] = ()
    losses: tuple[tuple[Budget, float | None], ...] = ()


def read_frontier(run_dirs: Sequence[str | os.PathLike[str]]) -> Frontier:
    """The frontier of runs.

    Args:
        run_dirs: One output folder of `minidisc run` at least.

    Raises:
        RunDirectoryError: a folder is no finished run, or reports another metric, split or task than the first.
    """
    folders = [Path(run_dir) for run_dir in run_dirs]
    results = [read_results(folder) for folder in folders]
    for folder, record in zip(folders, results, strict=True):
        for said in ("task", "metric", "split", "examples"):
            here, first = getattr(record, said), getattr(results[0], said)
            if here != first:
                raise RunDirectoryError(
                    f"{folder} reports the {said} {here}, and {folders[0]} {first}: give runs that report alike"
                )
    return frontier_of(results, [read_schedule(folder) for folder in folders], short_names(folders))


def frontier_of(
    results: Sequence[ResultsRecord], schedules: Sequence[ScheduleRecord], names: Sequence[str] = ("",)
) -> Frontier:
    """The frontier of runs that report alike.

    Args:
        results: Of each run.
        schedules: Of each run.
        names: What to call each, where there are several.
    """
    several = len(results) > 1
    rows: dict[str, ModelRow] = {}
    for record, name in zip(results, names, strict=True):
        for row in record.rows:
            form = form_of(row)
            if row.role == "teacher" and _same_model(row, rows.setdefault(form, row)):
                continue
            rows[f"{name}: {form}" if several else form] = row
    every = list(rows.values())
    forms = [
        Form(name, row, _is_best(row, every, _bytes), _is_best(row, every, _milliseconds)) for name, row in rows.items()
    ]
    slices = {
        name: [one for one in schedule.candidates if one.raw_metric is not None and 0 < one.scale < 1]
        for schedule, name in zip(schedules, names, strict=True)
        if schedule.measured_on == "candidate"
    }
    told = [budget_told(record, name if several else "") for record, name in zip(results, names, strict=True)]
    notes = dict.fromkeys(sentence(text) for text in (*filter(None, told), *map(measured, results)))
    return Frontier(
        results[0].metric,
        results[0].split,
        forms,
        {name: found for name, found in slices.items() if found},
        tuple(notes),
        tuple(record.budget for record in results if record.budget is not None),
        tuple(
            (record.budget, teacher.metric)
            for record in results
            if record.budget is not None and record.budget.search is not None and (teacher := record.row("teacher"))
        ),
    )


def frontier_grid(frontier: Frontier) -> Grid:
    """One row per form, the best first; numbers are those of the picture."""
    teacher = next((form.row.metric for form in frontier.forms if form.row.role == "teacher"), None)
    rows = []
    for number, form in numbered(frontier):
        row = form.row
        lost = NOTHING if row.metric is None or teacher is None else f"{row.metric - teacher:+.4f}"
        best = [word for word, holds in (("size", form.smallest), ("speed", form.fastest)) if holds]
        latency = NOTHING if row.latency_ms_batch1 is None else three(row.latency_ms_batch1)
        rows.append(
            (
                f"{number}",
                form.name,
                f"{row.scale:.4g}",
                score(row.metric),
                lost,
                count(row.parameters),
                size(row.bytes_on_disk),
                latency,
                " and ".join(best),
            )
        )
    header = (
        "",
        "model",
        "scale",
        f"{frontier.split}\n{plain(frontier.metric)}",
        "against\nteacher",
        "params",
        "on disk",
        "ms at\nbatch 1",
        "best\nfor its",
    )
    strong = frozenset(place for place, row in enumerate(rows) if row[-1])
    told = "Best for its size (speed): none that is as good is smaller (faster)"
    return Grid("frontier", header, tuple(rows), words=2, strong=strong, notes=(sentence(told), *frontier.notes))


def numbered(frontier: Frontier) -> list[tuple[int, Form]]:
    """The forms by metric, the best first, and of equal ones the smallest; each with its number, from 1."""
    known = sorted(
        frontier.forms,
        key=lambda form: (_NOT_MEASURED if form.row.metric is None else -form.row.metric, _bytes(form.row)),
    )
    return list(enumerate(known, start=1))


def _same_model(row: ModelRow, other: ModelRow) -> bool:
    sizes = (row.bytes_on_disk or 0, other.bytes_on_disk or 0)
    # OpenVINO numbers its nodes through a process: a later export of the same model has longer names.
    same_size = max(sizes) - min(sizes) <= max(sizes) / 1000
    return (row.metric, row.parameters) == (other.metric, other.parameters) and same_size


def _is_best(row: ModelRow, every: Sequence[ModelRow], cost: Callable[[ModelRow], float]) -> bool:
    """Whether no other is better and costs no more, or costs less and is no worse."""
    if row.metric is None or cost(row) == _NOT_MEASURED:
        return False
    return not any(
        other.metric is not None
        and (other.metric >= row.metric and cost(other) <= cost(row))
        and (other.metric > row.metric or cost(other) < cost(row))
        for other in every
    )


def _bytes(row: ModelRow) -> float:
    return _NOT_MEASURED if row.bytes_on_disk is None else row.bytes_on_disk


def _milliseconds(row: ModelRow) -> float:
    return _NOT_MEASURED if row.latency_ms_batch1 is None else row.latency_ms_batch1
