"""Models, data and configs of benchmarks/gpu_check.py: shapes of usual encoders, random weights, pairs of sentences."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from benchmarks.tasks import CANDIDATES, demo
from minidisc_plugin.contracts.config import CompressionConfig

SHAPES = {
    "bert-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
}
COLUMNS = ("sentence1", "sentence2", "label")
EXAMPLES = {"train": 2667, "validation": 200, "test": 400}  # a tenth of train is set apart for selection
BATCH, MAX_LENGTH = 32, 128
# Words of a sentence, each a token: pairs have 41 tokens on average.
_WORDS, _SPREAD = 19.0, 4.5


def make_model(shape: str) -> BertForSequenceClassification:
    """A classifier of two labels with random weights: speed does not depend on them."""
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(num_labels=2, **SHAPES[shape])).eval()


def make_teacher(folder: Path, shape: str) -> Path:
    """The same, saved with MiniLM's tokenizer."""
    place = folder / "teachers" / shape
    if not place.is_dir():
        make_model(shape).save_pretrained(place)
        AutoTokenizer.from_pretrained(demo().pretrained_folder(), model_max_length=512).save_pretrained(place)
    return place


def make_data(folder: Path) -> dict[str, str]:
    """Pairs of sentences of random words, as CSV files by split."""
    words = [word for word in AutoTokenizer.from_pretrained(demo().pretrained_folder()).get_vocab() if word.isalpha()]
    chance = random.Random(0)
    words.sort()

    def sentence() -> str:
        return " ".join(chance.choices(words, k=max(5, round(chance.gauss(_WORDS, _SPREAD)))))

    files = {}
    for split, count in EXAMPLES.items():
        files[split] = str(folder / f"{split}.csv")
        with open(files[split], "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            writer.writerows([sentence(), sentence(), index % 2] for index in range(count))
    return files


def config(folder: Path, shape: str, **changes: Any) -> CompressionConfig:
    """A run at this shape; sections in `changes` replace those of the same name."""
    files = {split: str(folder / f"{split}.csv") for split in EXAMPLES}
    training = {
        "num_train_epochs": 3,
        "learning_rate": 2e-4,
        "per_device_train_batch_size": BATCH,
        "seed": 0,
        "disable_tqdm": True,
        "eval_strategy": "no",  # those of published every ten steps are no part of a step
    }
    settings = {
        "model": str(make_teacher(folder, shape)),
        "trainer": "transformers",
        "dataset": {"path": "csv", "data_files": files, "text": list(COLUMNS[:2]), "label": COLUMNS[2]},
        "metric": "accuracy",
        "pruning": {"target_sparsity": 0.9},
        "scheduler": "minidisc",
        "scheduler_config": {"lambda": 0.2, "candidates": list(CANDIDATES)},
        "training": training,
        "max_length": MAX_LENGTH,
        "output_dir": str(folder / "run"),
    }
    return CompressionConfig.model_validate({**settings, **changes})
