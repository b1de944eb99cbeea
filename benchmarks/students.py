"""Several students of one schedule, against as many runs of one student each: what they cost, and how good they are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

from benchmarks import ways
from benchmarks.cells import Cell, Failed, Record, Source, Store, matches
from benchmarks.evidence import make_tasks
from benchmarks.evidence_tables import lines
from benchmarks.judge import right_of
from benchmarks.machine import machine, versions
from benchmarks.paired import Outcomes, difference
from benchmarks.speed import set_environment
from benchmarks.tasks import GLUE, Task, pretrained_minilm
from minidisc_plugin.foundation.atomic import write_text

EPILOG = """
Students of MiniLM. A cell is one run: of all students, or of one. Cells are kept as in benchmarks.evidence; the table
comes at the end. Cost is processor time of the stages, so that several processes may measure side by side.
"""
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
ALL = "all"
BATCH = 32


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
        f"training.learning_rate={rate:g}",
        f"training.seed={seed}",
        f"training.num_train_epochs={epochs}",
        f"training.per_device_train_batch_size={BATCH}",
        f"training.per_device_eval_batch_size={4 * BATCH}",
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
    parser = argparse.ArgumentParser(
        "python -m benchmarks.students",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, default=Path("runs/students"), help="everything goes here (runs/students)")
    parser.add_argument("--report", action="store_true", help="measure nothing, print the table of what there is")
    parser.add_argument("--only", nargs="+", metavar="PATTERN", default=["*"], help="cells to measure")
    parser.add_argument("--list", action="store_true", help="list the cells, and which are done")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the runs (0 1 2)")
    parser.add_argument("--epochs", type=int, default=3, help="of every stage (3)")
    parser.add_argument("--rate", type=float, default=6e-4, help="learning rate (6e-4)")
    parser.add_argument("--processes", type=int, default=1, help="that share a device, and measure side by side (1)")
    parser.add_argument("--editorials-train", type=int, default=1_900, metavar="N", help="up to 1,909 (1,900)")
    parser.add_argument("--movies-train", type=int, default=4_000, metavar="N", help="sentences, up to 4,318 (4,000)")
    parser.add_argument("--mrpc-train", type=int, default=2_400, metavar="N", help="pairs, up to 2,401 (2,400)")
    parser.add_argument("--glue", type=Path, default=GLUE, help=f"folder that holds MRPC/*.tsv ({GLUE})")
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if it is on disk")
    options = parser.parse_args(arguments)
    tasks = make_tasks(options, options.work, pretrained_minilm)
    store = Store(options.work)
    cells = make_cells(tasks, options.seeds, options.epochs, options.rate)
    cells = [cell for cell in cells if matches(cell.name, options.only)]
    failed: list[str] = []
    if options.list:
        store.show(cells)
        return 0
    if not options.report:
        set_environment(options.work)
        try:
            for task in tasks:
                if any(cell.settings["task"] == task.name for cell in cells):
                    task.prepare()
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
        failed = store.run(cells, lambda: Source(machine=machine(), versions=versions()), processes=options.processes)
    kept = store.records()
    table = markdown([kept[cell.name] for cell in cells if cell.name in kept])
    print(f"\n{table}")
    write_text(options.work / "students.md", table + "\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
