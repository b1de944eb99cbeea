"""How fast compression is, and what speed costs in quality; the command line behind `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.cells import Cell, Failed, Source, Store, matches
from benchmarks.machine import ROOT, machine, versions
from benchmarks.speed_cells import PROTOCOLS, RUNS, STEP_EXAMPLES, STEPS, Overrides, make_cells
from benchmarks.speed_tables import sources, tables
from benchmarks.tasks import GLUE, Movies, Mrpc, Task, has_mrpc
from minidisc_plugin.foundation.atomic import write_text
from minidisc_plugin.run.reporting.console import standard_output

DESCRIPTION = """\
Measures how fast compression is, and what speed costs in quality. Each measurement is a cell, made in a process of
its own and kept in WORK/cells; a second call measures what is missing, then prints the tables and writes
WORK/bench.json. Data and teachers are made first, where they are missing.

cells:
  step/VARIANT                  seconds of an optimizer step, from the published protocol to the default
  run/TASK/NAME                 whole runs: seconds by stage, and peak memory
  memory/TASK/fine-tuning       peak memory of fine-tuning the teacher, which that of runs is compared with
  choice/TASK/PROTOCOL/SEED     assistant chosen, and test metrics, by protocol and seed

tasks:
  movies                        sentences from vadersentiment's source distribution, which pip downloads
  mrpc                          pairs, where GLUE's files are on disk (--glue); steps and runs are timed on it,
                                without it on movies
"""
EPILOG = """\
examples (`make bench` runs the first, in .venv; it takes hours on two cores, and may be stopped and started again):
  python -m benchmarks.speed
  python -m benchmarks.speed --list
  python -m benchmarks.speed --only 'step/*' --redo 'step/*'
  python -m benchmarks.speed --only 'choice/*' --variant no-halving scheduler_config.halving=false
  python -m benchmarks.speed --report

exit status: 0 done; 1 a cell failed (its log stays in WORK/scratch); 2 the arguments cannot be used
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parse(arguments)
    store = Store(options.work)
    tasks = make_tasks(options)
    timed = tasks[-1]  # MRPC, where it is there
    cells = make_cells(tasks, timed, options.timing_train, options.seeds, variants_of(options.variant))
    names = [cell.name for cell in cells]
    chosen = [cell for cell in cells if matches(cell.name, options.only)]
    if options.list:
        store.show(chosen)
        return 0
    failed: list[str] = []
    if not options.report:
        if not has_mrpc(options.glue):
            print(f"mrpc is left out: {options.glue} does not hold GLUE's MRPC; runs are timed on movies")
        if not chosen:
            print(f"no cell matches --only {' '.join(options.only)}; --list shows all", file=sys.stderr)
            return 2
        failed = measure_cells(store, chosen, tasks, timed, options)
    report(store, options.work, names, standard_output())
    if failed:
        print(f"failed: {', '.join(failed)}; the next call tries them again", file=sys.stderr)
    return int(bool(failed))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; the defaults are what `make bench` uses."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, default=Path("runs/bench"), help="everything goes here (runs/bench)")
    parser.add_argument("--list", action="store_true", help="list the cells, and which are done")
    parser.add_argument("--report", action="store_true", help="measure nothing, print the tables of what there is")
    parser.add_argument("--only", nargs="+", metavar="PATTERN", default=["*"], help="cells to look at")
    parser.add_argument("--redo", nargs="+", metavar="PATTERN", default=[], help="cells to measure again")
    parser.add_argument(
        "--variant",
        nargs="+",
        metavar=("NAME", "KEY=VALUE"),
        action="append",
        default=[],
        help="a further protocol to measure next to the others, as keys of a compression config; may be repeated",
    )
    parser.add_argument("--glue", type=Path, default=GLUE, help=f"folder that holds MRPC/*.tsv ({GLUE})")
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if it is on disk")
    parser.add_argument("--movies-train", type=_count, default=2_000, metavar="N", help="examples, up to 4,318 (2,000)")
    parser.add_argument("--mrpc-train", type=_count, default=3_200, metavar="N", help="examples, up to 3,259 (3,200)")
    parser.add_argument("--timing-train", type=_count, default=800, metavar="N", help="examples of timed runs (800)")
    parser.add_argument("--epochs", type=_count, default=3, metavar="N", help="of every stage, but of step cells (3)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED", help="of choices (0 1 2)")
    options = parser.parse_args(arguments)
    for name, *overrides in options.variant:
        if name in {**PROTOCOLS, **STEPS, **RUNS} or "/" in name:
            parser.error(f"--variant {name}: a name of its own is wanted, without a slash")
        if not overrides or not all("=" in override for override in overrides):
            parser.error(f"--variant {name}: KEY=VALUE is wanted after the name")
    return options


def make_tasks(options: argparse.Namespace) -> list[Task]:
    """The tasks whose data can be had."""
    movies = Movies(options.work, options.movies_train, options.epochs, options.archive)
    mrpc = Mrpc(options.work, options.mrpc_train, options.epochs, options.glue)
    return [movies, mrpc] if has_mrpc(options.glue) else [movies]


def variants_of(given: Sequence[Sequence[str]]) -> Mapping[str, Overrides]:
    """Overrides of each variant by its name."""
    return {name: tuple(overrides) for name, *overrides in given}


def measure_cells(
    store: Store, cells: Sequence[Cell], tasks: Sequence[Task], timed: Task, options: argparse.Namespace
) -> list[str]:
    """Make data and teachers where they are needed, then the cells; returns the names of those that failed."""
    set_environment(options.work)
    needed = {cell.settings["task"] for cell in store.missing(cells, options.redo)}
    lost = set()
    for task in tasks:
        if task.name in needed:
            try:
                task.prepare(*((options.timing_train, STEP_EXAMPLES) if task is timed else ()))
            except (Failed, OSError) as error:
                print(f"{task.name} cannot be measured: {error}", file=sys.stderr)
                lost.add(task.name)
    able = [cell for cell in cells if cell.settings["task"] not in lost]
    failed = store.run(able, lambda: Source(machine=machine(), versions=versions()), options.redo)
    return [*failed, *(cell.name for cell in cells if cell not in able)]


def set_environment(work: Path) -> None:
    """What children inherit: this checkout's packages, caches under the work folder, and no way to a hub."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["HF_HOME"] = str((work / "cache").resolve())
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def report(store: Store, work: Path, names: Sequence[str], console: Console) -> None:
    """Print the tables, and write all records as one file."""
    records = store.records()
    console.print()
    for table in tables(records, names):
        console.print(table)
    for line in sources(records):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if records:
        content = {name: record.model_dump(mode="json") for name, record in records.items()}
        write_text(work / "bench.json", json.dumps(content, indent=2) + "\n")
        console.print(f"all of it: {work / 'bench.json'}", markup=False, highlight=False)


def _count(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
