"""The parts of a tiny script that has a teacher and tokenised data of its own, for hosts that take no config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, TrainingArguments

from tests.builders.tiny import make_rows


def teacher_of(files: Path) -> PreTrainedModel:
    """The fine-tuned teacher in a folder of run files."""
    return AutoModelForSequenceClassification.from_pretrained(files / "teacher")


def examples(files: Path, seed: int = 1, count: int = 120) -> Dataset:
    """Tokenised examples with `labels`."""
    tokenizer = AutoTokenizer.from_pretrained(files / "teacher")
    rows = Dataset.from_list(make_rows(count, seed))
    features = rows.map(lambda batch: tokenizer(batch["sentence"]), batched=True, remove_columns=["sentence"])
    return features.rename_column("label", "labels")


def arguments(folder: Path, **changes: Any) -> TrainingArguments:
    """As a script gives them."""
    settings = {
        "do_train": True,
        "num_train_epochs": 1,
        "per_device_train_batch_size": 24,
        "learning_rate": 1e-3,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "seed": 0,
        "use_cpu": True,
    }
    return TrainingArguments(str(folder), **{**settings, **changes})


def accuracy(prediction: Any) -> dict[str, float]:
    """As `Trainer` takes it."""
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}
