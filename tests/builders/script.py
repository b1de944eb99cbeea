"""The parts of a tiny script that has a teacher and tokenised data of its own, for hosts that take no config."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

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
