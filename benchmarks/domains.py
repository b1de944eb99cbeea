"""Several domains: one student of all by `hrkd` and by other objectives, against a student of each domain."""

from __future__ import annotations

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
from benchmarks.cells import Cell, Record
from benchmarks.judge import right_of
from benchmarks.paired import Outcomes, difference
from benchmarks.suite import run_suite, suite_parser
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
    parser = suite_parser("benchmarks.domains", __doc__, EPILOG, "runs/domains", 6)
    parser.add_argument("--rate", type=float, default=6e-4, help="learning rate (6e-4)")
    parser.add_argument("--train", type=int, default=4_000, metavar="N", help="sentences of all domains (4,000)")
    options = parser.parse_args(arguments)
    task = Domains(options.work, options.train, options.epochs, archive=options.archive)

    def prepare(missing: Sequence[Cell]) -> None:
        task.prepare()
        for domain in (ALL, *DOMAINS):
            task.write_config(domain)

    def report(records: Sequence[Record]) -> None:
        print(f"\n{markdown(task, records)}")

    return run_suite(options, make_cells(task, options.seeds, options.epochs, options.rate), prepare, report)


if __name__ == "__main__":
    sys.exit(main())
