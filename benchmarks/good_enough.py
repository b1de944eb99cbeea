"""`pruning.max_loss` kept or broken: the student that a run takes for good enough, judged on examples it never saw."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import Any

import numpy as np

from benchmarks import ways
from benchmarks.cells import Cell, Record
from benchmarks.evidence_tables import lines
from benchmarks.judge import right_of
from benchmarks.suite import add_task_options, run_tasks, suite_parser, training_settings
from benchmarks.tasks import Movies, PooledMrpc, Task, has_mrpc

EPILOG = """
Students of MiniLM. A cell is one schedule, and from it a student for each loss, as `--resume` with another
pruning.max_loss makes it; validation and test are drawn anew for each seed. Cells are kept as in
benchmarks.evidence; the table comes at the end.
"""
LOSSES = (0.05, 0.02, 0.01)


@dataclass(frozen=True)
class ComparedMrpc(PooledMrpc):
    """The same pairs, with more of them to compare students on: 200 tell four points, 600 two."""

    validated = 600


def make_tasks(options: Any) -> list[Task]:
    """Movies, and MRPC where its files are."""
    draws = tuple(options.seeds)
    tasks: list[Task] = [Movies(options.work, options.movies_train, options.epochs, options.archive, draws=draws)]
    if has_mrpc(options.glue):
        tasks.append(ComparedMrpc(options.work, options.mrpc_train, options.epochs, options.glue, draws=draws))
    return tasks


def make_cells(tasks: Sequence[Task], seeds: Sequence[int], epochs: int, rate: float) -> list[Cell]:
    """Seed by seed."""
    return [_cell(task, seed, epochs, rate) for seed in seeds for task in tasks]


def _cell(task: Task, seed: int, epochs: int, rate: float) -> Cell:
    settings = [
        "pruning.target_sparsity=null",
        f"pruning.max_loss={LOSSES[0]}",
        "scheduler_config.candidates=null",
        *(f"dataset.data_files.{split}={task.drawn(split, seed)}" for split in ("validation", "test")),
        *training_settings(rate, seed, epochs),
    ]
    said = {"task": task.name, "losses": list(LOSSES), "seed": seed, "rate": rate, "epochs": epochs}
    measure = partial(ways.searched, task.config_file, settings, LOSSES)
    return Cell(f"{task.name}/{seed}", {**said, "config": task.config(), "overrides": settings}, measure)


def lost_on_test(record: Record, max_loss: float) -> tuple[float, float]:
    """Points of accuracy that a student lost on test against its teacher, and the standard error of that."""
    student = right_of(record.result["students"][f"{max_loss:g}"]["judged"]["test"])
    teacher = right_of(record.result["judged_teacher"]["test"])
    lost = 100 * (teacher.astype(float) - student.astype(float))
    return float(lost.mean()), float(np.std(lost, ddof=1)) / math.sqrt(len(lost))


def markdown(records: Sequence[Record]) -> str:
    """By task and loss: what was chosen in each seed, what it lost on test, and how often the promise was kept."""
    rows = [["task", "max_loss", "chosen scales", "lost on test, points", "within", "within and 1 s.e.", "none found"]]
    rows.append(["---", "---:", "---", "---:", "---:", "---:", "---:"])
    for task in dict.fromkeys(record.settings["task"] for record in records):
        own = [record for record in records if record.settings["task"] == task]
        for max_loss in LOSSES:
            students = [record.result["students"][f"{max_loss:g}"] for record in own]
            lost = [lost_on_test(record, max_loss) for record in own]
            promised = [
                (loss, error)
                for (loss, error), student in zip(lost, students, strict=True)
                if any(one["good_enough"] for one in student["search"]["tried"])
            ]
            kept = sum(loss <= 100 * max_loss for loss, _ in promised)
            nearly = sum(loss <= 100 * max_loss + error for loss, error in promised)
            found = " ".join(f"{student['scale']:g}" for student in students)
            told = f"{mean(loss for loss, _ in lost):+.1f} ({' '.join(f'{loss:+.1f}' for loss, _ in lost)})"
            counts = [f"{kept} of {len(promised)}", f"{nearly} of {len(promised)}", str(len(own) - len(promised))]
            rows.append([task, f"{max_loss:g}", found, told, *counts])
    return lines(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, and print the table."""
    parser = suite_parser("benchmarks.good_enough", __doc__, EPILOG, "runs/good-enough", 3)
    parser.add_argument("--rate", type=float, default=6e-4, help="learning rate (6e-4)")
    add_task_options(parser)
    parser.set_defaults(seeds=[0, 1, 2, 3, 4], mrpc_train=2_000)
    options = parser.parse_args(arguments)
    tasks = make_tasks(options)
    cells = make_cells(tasks, options.seeds, options.epochs, options.rate)
    return run_tasks(options, tasks, cells, markdown, "good-enough.md")


if __name__ == "__main__":
    sys.exit(main())
