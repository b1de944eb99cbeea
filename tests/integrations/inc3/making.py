"""A tiny trial for Neural Compressor 3.8 and newer: teacher, data, arguments, metric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from minidisc_plugin.metrics import build_compute_metrics
from tests.builders.script import arguments, examples
from tests.builders.tiny import make_batch, make_rows

BATCH = make_batch(labels=2)


def inputs(files: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """What a Trial is made of."""
    return {
        "train_dataset": examples(files),
        "args": arguments(folder, num_train_epochs=2),
        "compute_metrics": build_compute_metrics("accuracy", False),
        "metric": "accuracy",
        "processing_class": AutoTokenizer.from_pretrained(files / "teacher"),
        **changes,
    }


def accuracy_on(files: Path) -> Callable[[PreTrainedModel], float]:
    """Accuracy on examples that nothing was trained on, as `autotune` takes it."""
    tokenizer = AutoTokenizer.from_pretrained(files / "teacher")
    rows = make_rows(64, 3)
    batch = tokenizer([row["sentence"] for row in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([row["label"] for row in rows])

    def accuracy(model: PreTrainedModel) -> float:
        with torch.no_grad():
            return float((model(**batch).logits.argmax(-1) == labels).float().mean())

    return accuracy


def logits(model: PreTrainedModel) -> Tensor:
    """Of a batch that does not change."""
    with torch.no_grad():
        return model.eval()(**BATCH).logits  # type: ignore[no-any-return]


def size(model: torch.nn.Module) -> int:
    """Its parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
