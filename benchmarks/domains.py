"""Several domains: one student of all by `hrkd` and by other objectives, against a student of each domain."""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import ways
from benchmarks.cells import Cell, Failed, Record, Source, Store, matches
from benchmarks.judge import right_of
from benchmarks.machine import machine, versions
from benchmarks.paired import Outcomes, difference
from benchmarks.speed import set_environment
from benchmarks.tasks import LABEL, SPLITS, Task, demo, from_archive, write_csv
from minidisc_plugin.foundation.atomic import write_text

EPILOG = """
Four domains of sentences, positive or negative: movies, editorials, tweets, products. One teacher is fine-tuned on
all of them; students follow it directly (`scheduler: direct`). The students of each domain take together as many
steps as the one student of all. Cells are kept as in benchmarks.evidence; a table comes at the end.
"""
DOMAINS = {
    "movie": "movieReviewSnippets",
    "editorial": "nytEditorialSnippets",
    "tweet": "tweets",
    "product": "amazonReviewSnippets",
}
ALL = "all"
OBJECTIVES = ("knowledge_distillation", "minidisc", "hrkd")
VALIDATED, TESTED = 200, 1_200


@dataclass(frozen=True)
class Domains(Task):
    """Rated sentences of four domains, as many of each.

    Attributes:
        archive: Source distribution of vadersentiment, if it is on disk.
    """

    archive: Path | None = None

    name = "domains"
    text = ("sentence",)

    def fill(self, folder: Path) -> None:
        """See Task."""
        splits, each = {split: list[list[Any]]() for split in SPLITS}, self.examples // len(DOMAINS)
        rated = from_archive(
            self.archive, lambda archive: [demo().read_ratings(archive, name) for name in DOMAINS.values()]
        )
        for domain, found in zip(DOMAINS, rated, strict=True):
            rows = [[*row, domain] for row in found]
            random.Random(0).shuffle(rows)
            splits["test"] += rows[:TESTED]
            splits["validation"] += rows[TESTED : TESTED + VALIDATED]
            splits["train"] += rows[TESTED + VALIDATED : TESTED + VALIDATED + each]
        for split, rows in splits.items():
            random.Random(1).shuffle(rows)
            write_csv(folder / f"{split}.csv", [[*self.text, LABEL, "domain"], *rows])
            for domain in DOMAINS:
                part = [row for row in rows if row[-1] == domain]
                write_csv(folder / f"{split}-{domain}.csv", [[*self.text, LABEL, "domain"], *part])

    def file_of(self, domain: str) -> Path:
        """Config file of one domain, or of all."""
        return self.config_file.with_stem(f"{self.name}-{domain}")

    def write_config(self, domain: str) -> None:
        """Write it."""
        config = self.config()
        if domain != ALL:
            files = {split: str(self.data(split).with_stem(f"{split}-{domain}")) for split in SPLITS}
            config["dataset"]["data_files"] = files
        write_text(self.file_of(domain), yaml.safe_dump(config, sort_keys=False))

    def places(self, domain: str) -> list[int]:
        """Rows of a domain in the test split."""
        with self.data("test").open(encoding="utf-8", newline="") as stream:
            return [place for place, row in enumerate(csv.DictReader(stream)) if row["domain"] == domain]


def make_cells(task: Domains, seeds: Sequence[int], epochs: int, rate: float) -> list[Cell]:
    """Seed by seed: students of all domains, and of each where an objective knows none."""
    whole = [(ALL, objective) for objective in OBJECTIVES]
    apart = [(domain, objective) for objective in OBJECTIVES[:-1] for domain in DOMAINS]
    return [_cell(task, *what, seed, epochs, rate) for seed in seeds for what in (*whole, *apart)]


def _cell(task: Domains, domain: str, objective: str, seed: int, epochs: int, rate: float) -> Cell:
    settings = [
        "scheduler=direct",
        f"distillation.objective={objective}",
        f"training.seed={seed}",
        f"training.num_train_epochs={epochs}",
        f"training.learning_rate={rate:g}",
        *(["dataset.domain=domain"] if objective == "hrkd" else []),
    ]
    said = {"domain": domain, "objective": objective, "seed": seed, "overrides": settings}
    return Cell(
        f"{domain}/{objective}/{seed}",
        said,
        partial(ways.taught, task.file_of(domain), settings),
    )


def outcomes(task: Domains, records: Iterable[Record], objective: str, *, apart: bool) -> Outcomes:
    """Which test examples of each domain students are right about, by domain and seed."""
    found = {}
    for record in records:
        said = record.settings
        if said["objective"] != objective or (said["domain"] != ALL) is not apart:
            continue
        right = right_of(record.result["judged"]["test"])
        for domain in DOMAINS if said["domain"] == ALL else [said["domain"]]:
            found[domain, said["seed"]] = right[task.places(domain)] if said["domain"] == ALL else right
    return found


def markdown(task: Domains, records: Sequence[Record]) -> str:
    """Accuracy by domain, and each way against a student of each domain by `minidisc`."""
    ways = {
        f"`{objective}`, {'one of each domain' if apart else 'one of all'}": outcomes(
            task, records, objective, apart=apart
        )
        for apart in (False, True)
        for objective in (OBJECTIVES[:-1] if apart else OBJECTIVES)
    }
    against = ways["`minidisc`, one of each domain"]
    lines = [
        ["student", *DOMAINS, "mean", "against the last row, points [95%]"],
        ["---", *["---:"] * (len(DOMAINS) + 2)],
    ]
    for name, found in ways.items():
        means = [
            np.mean([right.mean() for (domain, _), right in found.items() if domain == one] or [np.nan])
            for one in DOMAINS
        ]
        gain = difference(found, against) if found is not against else None
        shown = ["-" if np.isnan(mean) else f"{mean:.3f}" for mean in [*means, np.mean(means)]]
        lines.append([name, *shown, "" if gain is None else str(gain)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.domains",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, default=Path("runs/domains"), help="everything goes here (runs/domains)")
    parser.add_argument("--report", action="store_true", help="measure nothing, print the table of what there is")
    parser.add_argument("--only", nargs="+", metavar="PATTERN", default=["*"], help="cells to measure")
    parser.add_argument("--list", action="store_true", help="list the cells, and which are done")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the runs (0 1 2)")
    parser.add_argument("--epochs", type=int, default=6, help="of the student's stage (6)")
    parser.add_argument("--rate", type=float, default=6e-4, help="learning rate (6e-4)")
    parser.add_argument("--train", type=int, default=4_000, metavar="N", help="sentences of all domains (4,000)")
    parser.add_argument("--processes", type=int, default=1, help="that share a device, and measure side by side (1)")
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if it is on disk")
    options = parser.parse_args(arguments)
    task, store = Domains(options.work, options.train, options.epochs, archive=options.archive), Store(options.work)
    cells = make_cells(task, options.seeds, options.epochs, options.rate)
    cells = [cell for cell in cells if matches(cell.name, options.only)]
    failed: list[str] = []
    if options.list:
        store.show(cells)
        return 0
    if not options.report:
        set_environment(options.work)
        try:
            task.prepare()
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
        for domain in (ALL, *DOMAINS):
            task.write_config(domain)
        failed = store.run(cells, lambda: Source(machine=machine(), versions=versions()), processes=options.processes)
    kept = store.records()
    print(f"\n{markdown(task, [kept[cell.name] for cell in cells if cell.name in kept])}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
