"""Tiny models and learnable data, made from configs and a seed."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

GOOD = ["good", "great", "fine", "nice"]
BAD = ["bad", "awful", "poor", "dull"]
OTHER = [f"word{index}" for index in range(40)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, *GOOD, *BAD, *OTHER]

THREE_EPOCHS = {
    "num_train_epochs": 3,
    "learning_rate": 3.0e-3,
    "per_device_train_batch_size": 24,
    "seed": 0,
    "disable_tqdm": True,
}
"""The section `training` of runs in which a tiny student learns something."""


def make_bert(labels: int = 2, layers: int = 2, seed: int = 0, **settings: Any) -> BertForSequenceClassification:
    """A BERT classifier of 4 heads of 8 features and 64 neurons a layer, in evaluation mode."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        num_labels=labels,
        **settings,
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():  # the usual initialisation makes slices all but equal; tests need them to differ
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def make_batch(
    size: int = 6, tokens: int = 12, labels: int = 3, seed: int = 0, padded: bool = True
) -> dict[str, torch.Tensor]:
    """Random labelled examples; all but the first are shorter than `tokens` where `padded`."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(len(SPECIAL), len(VOCABULARY), (size, tokens), generator=generator)
    mask = torch.ones_like(ids)
    if padded:
        for row in range(1, size):
            mask[row, tokens - row % (tokens - 2) :] = 0
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "labels": torch.randint(0, labels, (size,), generator=generator),
    }


def make_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A word-level tokenizer of the tiny vocabulary, saved in `folder`."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    ids = {word: index for index, word in enumerate(VOCABULARY)}
    core = Tokenizer(WordLevel(ids, unk_token="[UNK]"))
    core.pre_tokenizer = Whitespace()
    core.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_rows(count: int, seed: int, regression: bool = False) -> list[dict[str, Any]]:
    """Sentences with one telling word; its kind is the label."""
    chosen = random.Random(seed)
    rows = []
    for _ in range(count):
        label = chosen.randint(0, 1)
        words = [chosen.choice(OTHER) for _ in range(chosen.randint(2, 9))]
        words.insert(chosen.randint(0, len(words)), chosen.choice(GOOD if label else BAD))
        rows.append({"sentence": " ".join(words), "label": label * 4.0 - 2.0 if regression else label})
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def make_run_files(folder: Path, regression: bool = False) -> None:
    """A teacher that learned its data, the data as CSV, and `compression.yaml`, all in `folder`."""
    for name, count, seed in (("train", 240, 1), ("validation", 48, 2), ("test", 64, 3)):
        write_csv(folder / f"{name}.csv", make_rows(count, seed, regression))
    teacher = folder / "teacher"
    teacher.mkdir()
    tokenizer = make_tokenizer(teacher)
    model = make_bert(labels=1 if regression else 2)
    rows = make_rows(240, 1, regression)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    model.train()
    for _ in range(6):
        for start in range(0, len(rows), 24):
            part = rows[start : start + 24]
            batch = tokenizer([row["sentence"] for row in part], padding=True, return_tensors="pt")
            labels = torch.tensor([row["label"] for row in part])
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval().save_pretrained(teacher)
    (folder / "compression.yaml").write_text(yaml.safe_dump(make_config(folder, regression)), encoding="utf-8")


def make_overrides(folder: Path, output_dir: Path) -> dict[str, Any]:
    """Changes that make the config of an example one of a run on the files in `folder`."""
    files = make_config(folder)["dataset"]["data_files"]
    return {
        "model": folder / "teacher",
        **{f"dataset.data_files.{split}": file for split, file in files.items()},
        "training.num_train_epochs": 1,
        "pruning.target_sparsity": 0.8,
        "scheduler_config.candidates": "[0.6, 0.4]",
        "max_length": 32,
        "output_dir": output_dir,
    }


def make_config(folder: Path, regression: bool = False, **changes: Any) -> dict[str, Any]:
    """The config of a run on the files in `folder`, as plain data."""
    return {
        "model": str(folder / "teacher"),
        "dataset": {
            "path": "csv",
            "data_files": {name: str(folder / f"{name}.csv") for name in ("train", "validation", "test")},
            "text": ["sentence"],
            "label": "label",
        },
        "metric": "pearsonr" if regression else "accuracy",
        "pruning": {"target_sparsity": 0.8},
        "scheduler": "minidisc",
        "scheduler_config": {"lambda": 0.2, "candidates": [0.6, 0.4]},
        "training": {
            "num_train_epochs": 1,
            "learning_rate": 1.0e-3,
            "per_device_train_batch_size": 24,
            "seed": 0,
            "disable_tqdm": True,
        },
        "output_dir": str(folder / "out"),
        **changes,
    }
