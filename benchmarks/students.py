"""Several students of one schedule, against as many runs of one student each: what they cost, and how good they are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from statistics import mean

from benchmarks import ways
from benchmarks.cells import Cell, Record
from benchmarks.evidence import make_tasks
from benchmarks.evidence_tables import lines
from benchmarks.judge import right_of
from benchmarks.paired import Outcomes, difference
from benchmarks.suite import add_task_options, run_tasks, suite_parser, training_settings
from benchmarks.tasks import Task, pretrained_minilm

EPILOG = """
Students of MiniLM. A cell is one run: of all students, or of one. Cells are kept as in benchmarks.evidence; the table
comes at the end. Cost is processor time of the stages, so that several processes may measure side by side.
"""
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
ALL = "all"


def make_cells(tasks: Sequence[Task], seeds: Sequence[int], epochs: int, rate: float) -> list[Cell]:
    """Seed by seed: all students in one run, and each in a run of its own."""
    wanted = [(ALL, list(SPARSITIES)), *((f"{one:g}", [one]) for one in SPARSITIES)]
    return [
        _cell(task, name, sparsities, seed, epochs, rate)
        for seed in seeds
        for task in tasks
        for name, sparsities in wanted
    ]


def _cell(task: Task, name: str, sparsities: list[float], seed: int, epochs: int, rate: float) -> Cell:
    settings = [
        f"pruning.target_sparsity={sparsities}",
        "scheduler_config.candidates=null",
        *training_settings(rate, seed, epochs),
    ]
    said = {"task": task.name, "sparsities": sparsities, "seed": seed, "rate": rate, "epochs": epochs}
    measure = partial(ways.several, task.config_file, settings)
    return Cell(f"{task.name}/{name}/{seed}", {**said, "config": task.config(), "overrides": settings}, measure)


def outcomes(records: Iterable[Record], sparsity: float, *, alone: bool) -> Outcomes:
    """Which test examples students of a sparsity are right about, by task and seed."""
    found = {}
    for record in records:
        said = record.settings
        if sparsity in said["sparsities"] and (len(said["sparsities"]) == 1) is alone:
            student = record.result["students"][f"{sparsity:g}"]
            found[said["task"], said["seed"]] = right_of(student["judged"]["test"])
    return found


def markdown(records: Sequence[Record]) -> str:
    """By sparsity, accuracy in both ways and their difference, and the cost of a run of one; then the cost of all."""
    rows = [["sparsity", "in a run of its own", "of one run for all", "difference, points [95%]", "assistants", "cost"]]
    rows.append(["---", *["---:"] * 5])
    costs = []
    for sparsity in SPARSITIES:
        own, shared = (outcomes(records, sparsity, alone=alone) for alone in (True, False))
        if not own or not shared:
            continue
        spent = mean(one.result["processor_seconds"] for one in records if one.settings["sparsities"] == [sparsity])
        costs.append(spent)
        pair = [f"{mean(float(right.mean()) for right in found.values()):.3f}" for found in (own, shared)]
        rows.append(
            [f"{sparsity:g}", *pair, str(difference(shared, own)), _assistants(records, sparsity), f"{spent:,.0f} s"]
        )
    together = [one.result["processor_seconds"] for one in records if len(one.settings["sparsities"]) > 1]
    if len(costs) < len(SPARSITIES) or not together:
        return lines(rows)
    spent = mean(together)
    said = (
        f"All in one run: {spent:,.0f} s of processor time, {spent / costs[-1]:.2f} times the run of the smallest, "
        f"{spent / costs[0]:.2f} times that of the largest, {spent / mean(costs):.2f} times the mean run of one, "
        f"{spent / sum(costs):.2f} times all four."
    )
    return f"{lines(rows)}\n\n{said}"


def _assistants(records: Sequence[Record], sparsity: float) -> str:
    """Scales that were chosen by runs of one, and by runs of all."""
    chosen = []
    for alone in (True, False):
        of_way = [one for one in records if (len(one.settings["sparsities"]) == 1) is alone]
        found = [one.result["students"].get(f"{sparsity:g}") for one in of_way]
        scales = [f"{scale:g}" for one in found if one is not None for scale in one["assistants"]]
        chosen.append(" ".join(scales) or "-")
    return " / ".join(chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, and print the table."""
    parser = suite_parser("benchmarks.students", __doc__, EPILOG, "runs/students", 3)
    parser.add_argument("--rate", type=float, default=6e-4, help="learning rate (6e-4)")
    add_task_options(parser)
    options = parser.parse_args(arguments)
    tasks = make_tasks(options, options.work, pretrained_minilm)
    cells = make_cells(tasks, options.seeds, options.epochs, options.rate)
    return run_tasks(options, tasks, cells, markdown, "students.md")


if __name__ == "__main__":
    sys.exit(main())
