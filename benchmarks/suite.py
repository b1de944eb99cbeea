"""What the suites of cells share: their options, and measuring what is missing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cells import Cell, Failed, Record, Source, Store, matches
from benchmarks.machine import machine, versions
from benchmarks.speed import set_environment
from benchmarks.tasks import GLUE, Task
from minidisc_plugin.foundation.atomic import write_text

_BATCH = 32


def suite_parser(name: str, about: str | None, epilog: str, work: str, epochs: int) -> argparse.ArgumentParser:
    """A parser with the options of every suite.

    Args:
        name: Of the module.
        about: What is compared.
        epilog: What else `--help` says.
        work: The folder of cells, unless told.
        epochs: Of every stage, unless told.
    """
    parser = argparse.ArgumentParser(
        f"python -m {name}",
        description=about,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, default=Path(work), help=f"everything goes here ({work})")
    parser.add_argument("--list", action="store_true", help="list the cells, and which are done")
    parser.add_argument("--report", action="store_true", help="measure nothing, print the tables of what there is")
    parser.add_argument("--only", nargs="+", metavar="PATTERN", default=["*"], help="cells to measure")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the runs (0 1 2)")
    parser.add_argument("--epochs", type=int, default=epochs, help=f"of every stage ({epochs})")
    parser.add_argument("--processes", type=int, default=1, help="that share a device, and measure side by side (1)")
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if it is on disk")
    return parser


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """How many examples of each task train, and where MRPC is."""
    parser.add_argument("--editorials-train", type=int, default=1_900, metavar="N", help="up to 1,909 (1,900)")
    parser.add_argument("--movies-train", type=int, default=4_000, metavar="N", help="sentences, up to 4,318 (4,000)")
    parser.add_argument("--mrpc-train", type=int, default=2_400, metavar="N", help="pairs, up to 2,401 (2,400)")
    parser.add_argument("--glue", type=Path, default=GLUE, help=f"folder that holds MRPC/*.tsv ({GLUE})")


def training_settings(rate: float, seed: int, epochs: int) -> list[str]:
    """Keys of a config, as `--set` takes them: large batches, for the time of a step is that of its calls else."""
    return [
        f"training.learning_rate={rate:g}",
        f"training.seed={seed}",
        f"training.num_train_epochs={epochs}",
        f"training.per_device_train_batch_size={_BATCH}",
        f"training.per_device_eval_batch_size={4 * _BATCH}",
    ]


def run_tasks(
    options: argparse.Namespace,
    tasks: Sequence[Task],
    cells: Sequence[Cell],
    markdown: Callable[[Sequence[Record]], str],
    name: str,
) -> int:
    """See run_suite: cells of some tasks, and one table, which is kept in the work folder.

    Args:
        options: See suite_parser.
        tasks: Those of missing cells are prepared.
        cells: Their settings say of which task they are.
        markdown: The table of records.
        name: Of its file.
    """

    def prepare(missing: Sequence[Cell]) -> None:
        for task in tasks:
            if any(cell.settings["task"] == task.name for cell in missing):
                task.prepare()

    def report(records: Sequence[Record]) -> None:
        table = markdown(records)
        print(f"\n{table}")
        write_text(options.work / name, table + "\n")

    return run_suite(options, cells, prepare, report)


def run_suite(
    options: argparse.Namespace,
    cells: Sequence[Cell],
    prepare: Callable[[Sequence[Cell]], None],
    report: Callable[[Sequence[Record]], None],
) -> int:
    """Measure the chosen cells that are missing, and report what there is; or list the cells.

    Args:
        options: See suite_parser.
        cells: In the order in which they are measured.
        prepare: Makes what cells that are missing need; raises Failed where it cannot be had.
        report: Shows all records.

    Returns:
        The exit status: 1 where something failed, 2 where no cell was chosen.
    """
    store, chosen = Store(options.work), [cell for cell in cells if matches(cell.name, options.only)]
    if options.list:
        store.show(chosen)
        return 0
    if not chosen:
        print(f"no cell matches --only {' '.join(options.only)}; --list shows all", file=sys.stderr)
        return 2
    failed: list[str] = []
    if not options.report:
        set_environment(options.work)
        try:
            prepare(store.missing(chosen))
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
        failed = store.run(chosen, lambda: Source(machine=machine(), versions=versions()), processes=options.processes)
    kept = store.records()
    report([kept[cell.name] for cell in cells if cell.name in kept])
    if failed:
        print(f"failed: {', '.join(failed)}; the next call tries them again", file=sys.stderr)
    return int(bool(failed))
