"""Look for sentences by what they mean: `python examples/embeddings/search.py "a dull plot"`."""

from __future__ import annotations

import argparse
import csv
import logging
import time
from pathlib import Path


def main() -> None:
    """Embed the sentences of the demo and the question with each model, and print the nearest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("question", nargs="?", default="the plot is boring", help="what to look for")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the demo was run")
    parser.add_argument("--nearest", type=int, default=3, metavar="N", help="how many to print")
    args = parser.parse_args()
    for talker in ("torchao", "torch.utils._pytree"):  # of kernels and types that no CPU has a use for
        logging.getLogger(talker).setLevel(logging.ERROR)
    with (args.runs / "embeddings-data" / "sentences.csv").open(encoding="utf-8", newline="") as stream:
        sentences = [row["text"] for row in csv.DictReader(stream)]
    for name in ("embeddings-teacher", "embeddings/student"):
        search(args.runs / name, sentences, args.question, args.nearest)


def search(folder: Path, sentences: list[str], question: str, nearest: int) -> None:
    """Print the sentences that are nearest to a question, by the cosine of their embeddings."""
    from sentence_transformers import SentenceTransformer, util

    # A student has layers of several widths, and so a file of code beside its weights: read it before you trust it.
    model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)
    started = time.perf_counter()
    index = model.encode(sentences, batch_size=64)
    rate = len(sentences) / (time.perf_counter() - started)
    print(f"\n{folder} ({rate:,.0f} sentences a second)")
    for hit in util.semantic_search(model.encode([question]), index, top_k=nearest)[0]:
        print(f"  {hit['score']:.2f}  {sentences[hit['corpus_id']]}")


if __name__ == "__main__":
    main()
