"""Does the line pay? Ways to a student, compared on the same test examples and seeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from benchmarks.cells import Cell, Failed, Record
from benchmarks.evidence_cells import RATES, SCALES, make_cells
from benchmarks.evidence_tables import markdown
from benchmarks.mpnet import pretrained_mpnet
from benchmarks.suite import add_task_options, run_suite, suite_parser
from benchmarks.tasks import Editorials, Movies, PooledMrpc, Task, has_mrpc, pretrained_minilm
from minidisc_plugin.foundation.atomic import write_text

# Gives the folder of a pretrained model, for a work folder.
Start = Callable[[Path], Path]
EPILOG = """
A cell is one sandwich and the students of all starts and guides (teacher x task x scale x learning rate x seed), or one
student of an objective. Each is kept when it is made, so a suite that was cut off goes on where it was. The learning
rate of each way is the one whose students are best on validation; what is reported is measured on test. Differences
are paired by example and seed; see paired.py for their intervals.

The teachers are MiniLM (23 million parameters) and MPNet-base (110 million; 410 MB come from the package registry).
For a machine that reaches no registry, benchmarks/pack.py takes along what is needed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, and write the tables."""
    options = parse(arguments)
    teachers = make_teachers(options)
    cells = make_cells(teachers, options.scales, options.rates, options.seeds, options.epochs)

    def prepare(missing: Sequence[Cell]) -> None:
        wanted = {(cell.settings["teacher"], cell.settings["task"]) for cell in missing}
        make_ready([task for name, each in teachers.items() for task in each if (name, task.name) in wanted], options)

    def report(records: Sequence[Record]) -> None:
        table = markdown(records)
        print(f"\n{table}")
        write_text(options.work / "evidence.md", table + "\n")

    return run_suite(options, cells, prepare, report)


def make_teachers(options: argparse.Namespace) -> dict[str, list[Task]]:
    """Tasks by teacher; each teacher has a work folder of its own."""
    starts: dict[str, Start] = {
        "minilm": pretrained_minilm,
        "mpnet": lambda work: pretrained_mpnet(work / "pretrained"),
    }
    return {name: make_tasks(options, options.work / name, starts[name]) for name in options.teachers}


def make_tasks(options: argparse.Namespace, work: Path, pretrained: Start) -> list[Task]:
    """The tasks in one work folder, with as many examples as the options say; MRPC where its files are."""
    epochs, archive = options.epochs, options.archive
    tasks: list[Task] = [
        Movies(work, options.movies_train, epochs, archive),
        Editorials(work, options.editorials_train, epochs, archive),
    ]
    if has_mrpc(options.glue):
        tasks.append(PooledMrpc(work, options.mrpc_train, epochs, options.glue))
    else:
        print(f"mrpc is left out: {options.glue} does not hold GLUE's MRPC", file=sys.stderr)
    return [replace(task, pretrained=pretrained) for task in tasks]


def make_ready(tasks: Sequence[Task], options: argparse.Namespace) -> None:
    """Make data and teachers, as many at once as there are processes.

    Raises:
        Failed: something cannot be had; the message names each task.
    """
    failed = []
    with ThreadPoolExecutor(options.processes) as pool:
        for task, made in [(task, pool.submit(task.prepare)) for task in tasks]:
            try:
                made.result()
            except Failed as error:
                failed.append(f"{task.work.name}, {task.name}: {error}")
    if failed:
        raise Failed("\n".join(failed))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; the defaults are what `make evidence` uses."""
    parser = suite_parser("benchmarks.evidence", __doc__, EPILOG, "runs/evidence", 3)
    parser.add_argument("--teachers", nargs="+", choices=["minilm", "mpnet"], default=["minilm", "mpnet"])
    parser.add_argument("--scales", nargs="+", type=float, default=list(SCALES), help="of the student (0.1 0.05)")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="learning rates (2e-4 6e-4 1e-3)")
    add_task_options(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
