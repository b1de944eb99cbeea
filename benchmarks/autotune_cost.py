"""What `autotune` over several sparsities costs beside separate schedules, and whether both pick the same student.

    python -m benchmarks.autotune_cost [--teacher FOLDER] [--data FOLDER] [--sparsities 0.95 0.9 0.8 0.5] [--out FILE]

The four schedules come first, each with a trial of its own, then `autotune` over all of them, in this process and with
nothing else on the machine. Separate schedules pick the smallest student whose validation accuracy is within the
tolerable loss. `autotune` tries the smallest first, so what it has cost at each trial's end is what it would have cost
had that student been good enough. Needs Neural Compressor 3.8 or newer, and what examples/demo/prepare.py made.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets import load_dataset
from neural_compressor.torch.quantization import TuningConfig, autotune, quantize
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from minidisc_plugin.integrations.inc3 import MiniDiscConfig, Trial
from minidisc_plugin.metrics import build_compute_metrics

ACCURACY = build_compute_metrics("accuracy", False)


class Tuning:
    """Teacher, data and the two ways to a student.

    Args:
        options: Of the command line.
        scratch: For checkpoints.
    """

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.tokenizer = AutoTokenizer.from_pretrained(options.teacher)
        self.teacher = AutoModelForSequenceClassification.from_pretrained(options.teacher)
        files = {split: str(options.data / f"{split}.csv") for split in ("train", "validation")}
        data = load_dataset("csv", data_files=files).rename_column("label", "labels")
        self.data = data.map(
            lambda rows: self.tokenizer(rows["sentence"], truncation=True, max_length=64),
            batched=True,
            remove_columns=["sentence"],
        )

    def trial(self, name: str) -> Trial:
        """Of its own, with nothing made before."""
        return Trial(
            train_dataset=self.data["train"],
            args=self._args(name),
            compute_metrics=ACCURACY,
            metric="accuracy",
            processing_class=self.tokenizer,
        )

    def accuracy(self, model: Any) -> float:
        """On the validation split."""
        model.is_quantized = False  # Neural Compressor says so of all that it returns, and Trainer refuses such models
        trainer = Trainer(model, self._args("eval"), processing_class=self.tokenizer, compute_metrics=ACCURACY)
        return float(trainer.evaluate(self.data["validation"])["eval_accuracy"])

    def alone(self, sparsity: float) -> dict[str, Any]:
        """One schedule."""
        return self._timed(
            f"schedule of {sparsity:g}",
            lambda: quantize(self.teacher, MiniDiscConfig(sparsity), run_args=self.trial(f"alone-{sparsity:g}")),
        )

    def together(self) -> dict[str, Any]:
        """All of them by autotune; `trials` has seconds from its start to the end of each trial."""
        config = MiniDiscConfig(list(self.options.sparsities), data=self.trial("together"))
        tuning = TuningConfig(config_set=[config], tolerable_loss=self.options.tolerable_loss)
        trials: list[dict[str, float]] = []
        wall, cpu = time.perf_counter(), time.process_time()

        def judged(model: Any) -> float:
            at = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
            trials.append({**at, "parameters": model.num_parameters()})
            return self.accuracy(model)

        found = self._timed("autotune", lambda: autotune(self.teacher, tuning, eval_fn=judged))
        return {**found, "trials": trials}

    def _timed(self, name: str, make: Any) -> dict[str, Any]:
        wall, cpu = time.perf_counter(), time.process_time()
        student = make()
        row = {"what": name, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        return {**row, "parameters": student.num_parameters(), "accuracy": self.accuracy(student)}

    def _args(self, name: str) -> TrainingArguments:
        return TrainingArguments(
            str(self.scratch / name),
            num_train_epochs=self.options.epochs,
            learning_rate=2e-4,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=64,
            save_strategy="no",
            report_to=[],
            seed=0,
            disable_tqdm=True,
        )


def main() -> None:
    """Measure, print, and write JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="runs/demo-teacher")
    parser.add_argument("--data", type=Path, default=Path("runs/demo-data"))
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.95, 0.9, 0.8, 0.5])
    parser.add_argument("--tolerable-loss", type=float, default=0.01)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tuning = Tuning(options, Path(scratch))
        teacher = tuning.accuracy(tuning.teacher)
        separate = [tuning.alone(sparsity) for sparsity in sorted(options.sparsities, reverse=True)]
        together = tuning.together()
    enough = [row for row in separate if row["accuracy"] >= (1 - options.tolerable_loss) * teacher]
    picked = enough[0] if enough else max(separate, key=lambda row: row["accuracy"])
    report = {
        "teacher_accuracy": teacher,
        "rows": [*separate, together],
        "picked_separately": picked["what"],
        "same_size": picked["parameters"] == together["parameters"],
        "times_the_schedule_it_ends_with": {
            row["what"]: {unit: trial[unit] / row[unit] for unit in ("wall_s", "cpu_s")}
            for row in separate
            for trial in together["trials"]
            if trial["parameters"] == row["parameters"]
        },
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
