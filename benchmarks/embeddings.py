"""Embedders side by side: people's scores of pairs, agreement with the teacher on unseen sentences, speed and bytes.

Each is loaded by `SentenceTransformer`, as its users load it. Differences to the teacher are paired.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence_tables import lines
from benchmarks.machine import machine, versions
from minidisc_plugin.run.measuring.measure import bytes_on_disk
from minidisc_plugin.tasks.similarity import cosines

EPILOG = """
The first folder is the teacher. Intervals are of 95%, from 1,000 draws: of pairs; of texts where these stand in many
pairs, since a correlation is then known as well as its texts are, not as its pairs.
"""
_DRAWS = 1_000
_MANY = 3  # pairs a text
_MOST = 100_000


class Pairs:
    """Pairs of texts with scores.

    Args:
        file: A CSV file with the columns one, other and score.

    Attributes:
        texts: Each once.
        first: (pairs,) places of the first text among them.
        second: Likewise.
        scores: (pairs,).
    """

    def __init__(self, file: Path) -> None:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [(row["one"], row["other"], float(row["score"])) for row in csv.DictReader(stream)]
        self.texts = list(dict.fromkeys(text for one, other, _ in rows for text in (one, other)))
        places = {text: place for place, text in enumerate(self.texts)}
        self.first = np.array([places[one] for one, _, _ in rows])
        self.second = np.array([places[other] for _, other, _ in rows])
        self.scores = np.array([score for _, _, score in rows])

    def draw(self, chance: np.random.Generator) -> NDArray[Any]:
        """Pairs as other texts, or other pairs, might have been: some of them more than once."""
        if len(self.scores) < _MANY * len(self.texts):
            return chance.integers(0, len(self.scores), len(self.scores))
        times = np.bincount(chance.integers(0, len(self.texts), len(self.texts)), minlength=len(self.texts))
        return np.repeat(np.arange(len(self.scores)), times[self.first] * times[self.second])


def spearman(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Rank correlation of two lists."""
    from scipy.stats import spearmanr

    return float(spearmanr(found, wanted).statistic)


def interval(measure: Callable[[NDArray[Any]], float], pairs: Pairs) -> list[float]:
    """Of 95%, of what is measured of rows of pairs."""
    chance = np.random.default_rng(0)
    values = [measure(pairs.draw(chance)) for _ in range(_DRAWS)]
    return [float(value) for value in np.quantile(values, [0.025, 0.975])]


def measured(folders: Sequence[Path], pairs: Sequence[Path], sentences: Path, count: int) -> list[dict[str, Any]]:
    """A record of each model, the teacher's first."""
    from sentence_transformers import SentenceTransformer

    with sentences.open(encoding="utf-8", newline="") as stream:
        unseen = [row["text"] for row in csv.DictReader(stream)][:count]
    steps = np.arange(1, max(2, _MOST // len(unseen)))
    first = np.repeat(np.arange(len(unseen)), len(steps))
    second = (first + np.tile(steps, len(unseen))) % len(unseen)
    scored = {file.stem: Pairs(file) for file in pairs}
    known: dict[str, NDArray[Any]] = {}
    records = []
    for folder in folders:
        model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)
        model.encode(unseen[:64])
        started = time.perf_counter()
        embeddings = model.encode(unseen, batch_size=32)
        seconds = time.perf_counter() - started
        found = {"sentences": cosines(embeddings, first, second)}
        found |= {name: cosines(model.encode(one.texts), one.first, one.second) for name, one in scored.items()}
        known = known or found
        records.append(
            {
                "model": str(folder),
                "parameters": sum(weight.numel() for weight in model.parameters()),
                "bytes": bytes_on_disk(folder),
                "sentences_a_second": len(unseen) / seconds,
                "agreement": spearman(found["sentences"], known["sentences"]),
                "scored": {name: _against_people(one, found[name], known[name]) for name, one in scored.items()},
            }
        )
    return records


def _against_people(pairs: Pairs, found: NDArray[Any], teacher: NDArray[Any]) -> dict[str, Any]:
    def difference(rows: NDArray[Any]) -> float:
        return spearman(found[rows], pairs.scores[rows]) - spearman(teacher[rows], pairs.scores[rows])

    by = [0.0, 0.0, 0.0]
    if found is not teacher:
        by = [difference(np.arange(len(found))), *interval(difference, pairs)]
    return {
        "texts": len(pairs.texts),
        "pairs": len(pairs.scores),
        "spearman": spearman(found, pairs.scores),
        "interval": interval(lambda rows: spearman(found[rows], pairs.scores[rows]), pairs),
        "difference": by,
    }


def markdown(records: Sequence[dict[str, Any]]) -> str:
    """A row for each model."""
    names = list(records[0]["scored"])
    header = ["model", "parameters", "MB", "sentences/s", "agreement"]
    rows = [[*header, *(part for name in names for part in (name, "less the teacher's"))]]
    rows.append(["---", *["---:"] * (len(rows[0]) - 1)])
    for one in records:
        cells = [one["model"], f"{one['parameters'] / 1e6:.1f}M", f"{one['bytes'] / 1e6:.1f}"]
        cells += [f"{one['sentences_a_second']:,.0f}", f"{one['agreement']:.3f}"]
        for name in names:
            found = one["scored"][name]
            low, high = found["interval"]
            by, least, most = found["difference"]
            cells += [f"{found['spearman']:.3f} [{low:.3f}, {high:.3f}]", f"{by:+.3f} [{least:+.3f}, {most:+.3f}]"]
        rows.append(cells)
    return lines(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and keep the records."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.embeddings",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="the teacher, then others")
    parser.add_argument("--pairs", nargs="+", type=Path, required=True, metavar="CSV", help="one, other, score")
    parser.add_argument(
        "--sentences", type=Path, required=True, metavar="CSV", help="text; those that trained no model"
    )
    parser.add_argument("--count", type=int, default=2_000, metavar="N", help="of these, from the first (2,000)")
    parser.add_argument("--out", type=Path, help="a file of JSON lines")
    options = parser.parse_args(arguments)
    records = measured(options.folders, options.pairs, options.sentences, options.count)
    print(markdown(records))
    if options.out is not None:
        said = {"machine": machine(), "versions": versions()}
        options.out.write_text("".join(json.dumps({**record, **said}) + "\n" for record in records), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
