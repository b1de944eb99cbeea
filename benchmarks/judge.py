"""What a finished run's teacher and student say about each example of a split.

python -m benchmarks.judge RUN_DIR --out FILE
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.data.collating import collator_of
from minidisc_plugin.run.pipeline import Result
from minidisc_plugin.run.preparation import prepare

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.run import Prepared

BATCH = 64
Logits = NDArray[np.float64]


def judge(run_dir: Path) -> dict[str, Any]:
    """Of the splits `validation` and `test`, what `judged` says of the student, and the teacher's metric.

    Args:
        run_dir: Of a run of a classifier.
    """
    config = read_config(str(run_dir / "config.resolved.yaml"))
    student = Result(run_dir).student
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(config, Path(scratch))
        found = {}
        for name, split in (("validation", prepared.splits.validation), ("test", prepared.splits.report)):
            assert split is not None
            teacher = _logits(prepared, prepared.teacher, split)
            labels = np.asarray(split["labels"])
            said = judged(_logits(prepared, student, split), teacher, labels)
            found[name] = {**said, "teacher": float((teacher.argmax(-1) == labels).mean())}
    return found


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


@torch.no_grad()
def _logits(prepared: Prepared, model: Any, split: Dataset) -> Logits:
    """(examples, classes), in the order of the split; a Trainer's is that of their lengths."""
    collate = collator_of(prepared)
    model = model.to(prepared.args.device).eval()
    found = []
    for start in range(0, len(split), BATCH):
        batch = collate([split[row] for row in range(start, min(start + BATCH, len(split)))])
        features = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        found.append(model(**features).logits.double().cpu())
    return np.asarray(torch.cat(found))


def main() -> None:
    """Judge, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path, help="output folder of a run")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    options.out.write_text(json.dumps(judge(options.run_dir)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
