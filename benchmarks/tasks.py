"""Data, teachers and configs of the benchmarks, all under one work folder; nothing comes from a hub.

`movies`: rated movie-review sentences, as in the demo; `editorials`: the same of newspapers. `mrpc`: pairs that say the
same or do not, from GLUE's files.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import random
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import yaml

from benchmarks.cells import Failed
from benchmarks.machine import ROOT
from minidisc_plugin.foundation.atomic import write_text

GLUE = ROOT.parent / "shared" / "glue"
SPLITS = ("train", "validation", "test")
LABEL = "label"
MAX_LENGTH = 128
EDITORIALS = "nytEditorialSnippets"
CANDIDATES = (0.5, 0.4, 0.3, 0.2, 0.15)


def pretrained_minilm(work: Path) -> Path:
    """Folder of the pretrained MiniLM: in the work folder where it was put there, or its package's."""
    own = work / "pretrained"
    return own if own.is_dir() else Path(demo().pretrained_folder())


@dataclass(frozen=True)
class Task(ABC):
    """One data set with its teacher.

    Attributes:
        work: The work folder.
        examples: Of train, from its start, to compress on; the teacher is fine-tuned on all of train.
        epochs: Of every training stage.
        pretrained: What the teacher is fine-tuned from, given the work folder.
        draws: Seeds, for each of which validation and test are drawn anew from both, which trained no teacher.
    """

    work: Path
    examples: int
    epochs: int
    pretrained: Callable[[Path], Path] = field(default=pretrained_minilm, kw_only=True)
    draws: tuple[int, ...] = field(default=(), kw_only=True)

    name: ClassVar[str]
    text: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fill(self, folder: Path) -> None:
        """Write the three splits, shuffled, as CSV files.

        Raises:
            Failed: their source is not to be had.
        """

    def split(self, rows: list[Any], folder: Path, tested: int, validated: int) -> None:
        """Shuffle rows (texts, then the label), and write the three splits."""
        random.Random(0).shuffle(rows)
        test, rest = rows[:tested], rows[tested:]
        splits = {"train": rest[validated:], "validation": rest[:validated], "test": test}
        for split, part in splits.items():
            write_csv(folder / f"{split}.csv", [[*self.text, LABEL], *part])

    @property
    def config_file(self) -> Path:
        """What `prepare` writes `config` to."""
        return self.work / "configs" / f"{self.name}.yaml"

    @property
    def teacher(self) -> Path:
        """Folder of the teacher."""
        return self.work / "teachers" / self.name

    def data(self, split: str, examples: int | None = None) -> Path:
        """File of a split, or of its first examples."""
        return self.work / "data" / self.name / f"{split}{'' if examples is None else f'-{examples}'}.csv"

    def drawn(self, split: str, seed: int) -> Path:
        """File of validation or test, as they are drawn anew for a seed."""
        return self.work / "data" / self.name / f"{split}-drawn-{seed}.csv"

    def config(self) -> dict[str, Any]:
        """The compression config that every cell of this task starts from."""
        files = {split: str(self.data(split, self.examples if split == "train" else None)) for split in SPLITS}
        return {
            "model": str(self.teacher),
            "trainer": "transformers",  # one engine for all stages of all cells
            "dataset": {"path": "csv", "data_files": files, "text": list(self.text), "label": LABEL},
            "metric": "accuracy",
            "pruning": {"target_sparsity": 0.9},
            "distillation": {"temperature": 1.0},
            "scheduler": "minidisc",
            "scheduler_config": {"lambda": 0.2, "candidates": list(CANDIDATES)},
            "training": {
                "num_train_epochs": self.epochs,
                "learning_rate": 2e-4,
                "per_device_train_batch_size": 16,
                "seed": 0,
                "disable_tqdm": True,
            },
            "max_length": MAX_LENGTH,
            "output_dir": str(self.work / "scratch" / self.name),
        }

    def prepare(self, *heads: int) -> None:
        """Make what is missing: data, with files of the first examples for each of `heads`, teacher, config.

        Raises:
            Failed: something cannot be made.
        """
        if not all(self.data(split).is_file() for split in SPLITS):
            self.data("train").parent.mkdir(parents=True, exist_ok=True)
            self.fill(self.data("train").parent)
        for count in (self.examples, *heads):
            _write_head(self.data("train"), self.data("train", count), count)
        for seed in self.draws:
            self._draw(seed)
        if not self.teacher.is_dir():
            print(f"{self.name}: fine-tuning the teacher on all examples", flush=True)
            command = [sys.executable, "-m", "benchmarks.teacher", str(self.data("train"))]
            start = ["--pretrained", str(self.pretrained(self.work))]
            # Another process, so that this one stays small (see measure.py).
            if subprocess.run([*command, str(self.teacher), "--text", *self.text, *start], check=False).returncode:
                raise Failed(f"{self.name}: the teacher could not be fine-tuned")
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, yaml.safe_dump(self.config(), sort_keys=False))

    def _draw(self, seed: int) -> None:
        if self.drawn("test", seed).is_file():
            return
        (header, *validation), (_, *test) = (read_csv(self.data(split)) for split in ("validation", "test"))
        both = [*validation, *test]
        random.Random(seed).shuffle(both)
        parts = {"validation": both[: len(validation)], "test": both[len(validation) :]}
        for split, rows in parts.items():
            write_csv(self.drawn(split, seed), [header, *rows])


@dataclass(frozen=True)
class Movies(Task):
    """Sentences of movie reviews, positive or negative, from where the demo takes them.

    Attributes:
        archive: Source distribution of vadersentiment, if it is on disk.
    """

    archive: Path | None = None

    name = "movies"
    text = ("sentence",)
    # Half of all sentences: a metric of 5,000 has a standard error of half a point.
    tested = 5_000
    validated = 1_000

    def fill(self, folder: Path) -> None:
        """See Task."""
        rows = from_archive(self.archive, lambda archive: demo().read_sentences(archive))
        self.split(rows, folder, self.tested, self.validated)


@dataclass(frozen=True)
class Editorials(Movies):
    """Sentences of newspaper editorials, likewise; 3,709 in all."""

    name = "editorials"
    tested = 1_500
    validated = 300

    def fill(self, folder: Path) -> None:
        """See Task."""
        rows = from_archive(self.archive, lambda archive: demo().read_ratings(archive, EDITORIALS))
        self.split(rows, folder, self.tested, self.validated)


@dataclass(frozen=True)
class Mrpc(Task):
    """Microsoft's paraphrases from GLUE's files; the test split is GLUE's dev, as GLUE's test has no labels.

    Attributes:
        glue: Folder that holds MRPC.
    """

    glue: Path = GLUE

    name = "mrpc"
    text = ("sentence1", "sentence2")

    def fill(self, folder: Path) -> None:
        """See Task; as many examples as there are to test on are taken from train to validate on."""
        train, test = _read_mrpc(self.glue, "train"), _read_mrpc(self.glue, "dev")
        random.Random(0).shuffle(train)
        splits = {"train": train[: -len(test)], "validation": train[-len(test) :], "test": test}
        for split, rows in splits.items():
            write_csv(folder / f"{split}.csv", [[*self.text, LABEL], *rows])


@dataclass(frozen=True)
class PooledMrpc(Mrpc):
    """The same pairs, train and dev pooled and split anew: 408 examples tell few students apart, 1,475 more."""

    tested = 1_475
    validated = 200

    def fill(self, folder: Path) -> None:
        """See Task."""
        rows = [row for name in ("train", "dev") for row in _read_mrpc(self.glue, name)]
        self.split(rows, folder, self.tested, self.validated)


def from_archive(archive: Path | None, read: Callable[[Path], Any]) -> Any:
    """What is read of the source distribution of vadersentiment, which is downloaded where it is not on disk.

    Raises:
        Failed: it is not to be had, or is another.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return read(archive or demo().download_source(Path(scratch)))
    except SystemExit as error:
        raise Failed(f"vadersentiment: {error.code}") from None


def has_mrpc(glue: Path) -> bool:
    """Whether GLUE's files are there."""
    return all((glue / "MRPC" / f"{name}.tsv").is_file() for name in ("train", "dev"))


def demo() -> Any:
    """The module examples/demo/prepare.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("demo_prepare", ROOT / "examples" / "demo" / "prepare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read_mrpc(glue: Path, name: str) -> list[list[str]]:
    # A quotation mark in these files is text, and the first column's name follows a byte order mark.
    with (glue / "MRPC" / f"{name}.tsv").open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [[row["#1 String"], row["#2 String"], row["Quality"]] for row in rows]


def _write_head(source: Path, target: Path, count: int) -> None:
    """The first `count` examples of a CSV file as one of their own, unless it is there.

    Raises:
        Failed: there are fewer.
    """
    if target.is_file():
        return
    rows = read_csv(source, count + 1)
    if len(rows) <= count:
        raise Failed(f"{source} holds {len(rows) - 1:,} examples, {count:,} are asked for")
    write_csv(target, rows)


def read_csv(path: Path, count: int | None = None) -> list[list[str]]:
    """Rows of a CSV file, or the first of them; the first is the header."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(islice(csv.reader(stream), count))


def write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows, the first of them the header."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())
