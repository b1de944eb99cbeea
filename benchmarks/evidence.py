"""Does the line pay? Ways to a student, compared on the same test examples and seeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from benchmarks.cells import Failed, Source, Store, matches
from benchmarks.evidence_cells import RATES, SCALES, make_cells
from benchmarks.evidence_tables import markdown
from benchmarks.machine import machine, versions
from benchmarks.mpnet import pretrained_mpnet
from benchmarks.speed import set_environment
from benchmarks.tasks import GLUE, Editorials, Movies, PooledMrpc, Task, has_mrpc, pretrained_minilm
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
    store = Store(options.work)
    teachers = make_teachers(options)
    cells = make_cells(teachers, options.scales, options.rates, options.seeds, options.epochs)
    chosen = [cell for cell in cells if matches(cell.name, options.only)]
    if options.list:
        store.show(chosen)
        return 0
    if not chosen:
        print(f"no cell matches --only {' '.join(options.only)}; --list shows all", file=sys.stderr)
        return 2
    failed: list[str] = []
    if not options.report:
        set_environment(options.work)
        wanted = {(cell.settings["teacher"], cell.settings["task"]) for cell in store.missing(chosen)}
        tasks = [task for name, each in teachers.items() for task in each if (name, task.name) in wanted]
        if not prepared(tasks, options.processes):
            return 1
        failed = store.run(chosen, lambda: Source(machine=machine(), versions=versions()), processes=options.processes)
    kept = store.records()
    table = markdown(kept[cell.name] for cell in cells if cell.name in kept)
    print(f"\n{table}")
    write_text(options.work / "evidence.md", table + "\n")
    if failed:
        print(f"failed: {', '.join(failed)}; the next call tries them again", file=sys.stderr)
    return int(bool(failed))


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


def prepared(tasks: Sequence[Task], processes: int) -> bool:
    """Make data and teachers, as many at once as there are processes; whether all can be had."""
    able = True
    with ThreadPoolExecutor(processes) as pool:
        for task, made in [(task, pool.submit(task.prepare)) for task in tasks]:
            try:
                made.result()
            except Failed as error:
                print(f"{task.work.name}, {task.name}: {error}", file=sys.stderr)
                able = False
    return able


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; the defaults are what `make evidence` uses."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.evidence",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"), help="everything goes here (runs/evidence)")
    parser.add_argument("--list", action="store_true", help="list the cells, and which are done")
    parser.add_argument("--report", action="store_true", help="measure nothing, print the tables of what there is")
    parser.add_argument("--only", nargs="+", metavar="PATTERN", default=["*"], help="cells to measure")
    parser.add_argument("--teachers", nargs="+", choices=["minilm", "mpnet"], default=["minilm", "mpnet"])
    parser.add_argument("--scales", nargs="+", type=float, default=list(SCALES), help="of the student (0.1 0.05)")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="learning rates (2e-4 6e-4 1e-3)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the runs (0 1 2)")
    parser.add_argument("--epochs", type=int, default=3, help="of every stage (3)")
    parser.add_argument("--processes", type=int, default=1, help="that share a device, and measure side by side (1)")
    parser.add_argument("--editorials-train", type=int, default=1_900, metavar="N", help="up to 1,909 (1,900)")
    parser.add_argument("--movies-train", type=int, default=4_000, metavar="N", help="sentences, up to 4,318 (4,000)")
    parser.add_argument("--mrpc-train", type=int, default=2_400, metavar="N", help="pairs, up to 2,401 (2,400)")
    parser.add_argument("--glue", type=Path, default=GLUE, help=f"folder that holds MRPC/*.tsv ({GLUE})")
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if it is on disk")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
