"""What a student says about each example of the splits that nobody trains on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from minidisc_plugin.run.data.collating import collator_of

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.run import Prepared

BATCH = 128
Logits = NDArray[np.float64]


class Judge:
    """Compares students of one run with its teacher and its labels.

    Args:
        prepared: A run of a classifier, with the splits `validation` and `test`.
    """

    def __init__(self, prepared: Prepared) -> None:
        splits = {"validation": prepared.splits.validation, "test": prepared.splits.report}
        self._prepared = prepared
        self._splits = {name: split for name, split in splits.items() if split is not None}
        self._labels = {name: np.asarray(split["labels"]) for name, split in self._splits.items()}
        self._teacher = {name: _logits(prepared, prepared.teacher, split) for name, split in self._splits.items()}

    @property
    def teacher(self) -> dict[str, float]:
        """Accuracy of the teacher by split."""
        return {name: float((said.argmax(-1) == self._labels[name]).mean()) for name, said in self._teacher.items()}

    @property
    def judged_teacher(self) -> dict[str, dict[str, Any]]:
        """What `judged` says of the teacher, by split."""
        return {name: judged(said, said, self._labels[name]) for name, said in self._teacher.items()}

    def __call__(self, student: PreTrainedModel) -> dict[str, dict[str, Any]]:
        """What `judged` says of a student, by split."""
        return {
            name: judged(_logits(self._prepared, student, split), self._teacher[name], self._labels[name])
            for name, split in self._splits.items()
        }


def judged(student: Logits, teacher: Logits, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy, log-loss against labels, KL(teacher || student) in nats; and "1" for each example that is right.

    Args:
        student: (examples, classes).
        teacher: Likewise.
        labels: (examples,), classes.
    """
    mine, theirs = log_softmax(student, -1), log_softmax(teacher, -1)
    right = student.argmax(-1) == labels
    return {
        "metric": float(right.mean()),
        "log_loss": float(-mine[np.arange(len(labels)), labels].mean()),
        "kl": float((np.exp(theirs) * (theirs - mine)).sum(-1).mean()),
        "right": "".join("1" if one else "0" for one in right),
    }


def right_of(said: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Whether a student is right about each example of a split, from what `judged` said of it."""
    return np.array(list(said["right"])) == "1"


@torch.no_grad()
def _logits(prepared: Prepared, model: PreTrainedModel, split: Dataset) -> Logits:
    """(examples, classes), in the order of the split; batches are of examples of about one length."""
    collate = collator_of(prepared)
    model = model.to(prepared.args.device).eval()
    examples = list(split)
    order = sorted(range(len(examples)), key=lambda row: len(examples[row]["input_ids"]))
    found = []
    for start in range(0, len(order), BATCH):
        batch = collate([examples[row] for row in order[start : start + BATCH]])
        features = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        found.append(model(**features).logits.double().cpu())
    return np.asarray(torch.cat(found))[np.argsort(order)]
