"""Find the smallest student that loses at most so much, with Neural Compressor's autotune (3.8 or newer)."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from datasets import load_dataset
from neural_compressor.torch.quantization import TuningConfig, autotune
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EvalPrediction,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)

from minidisc_plugin.integrations.inc3 import MiniDiscConfig, Trial


def main() -> None:
    """Read the data, tune, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--teacher", default="runs/demo-teacher", help="folder or Hub name of a fine-tuned classifier")
    parser.add_argument("--data", type=Path, default=Path("runs/demo-data"), help="folder with train, validation .csv")
    parser.add_argument("--output", type=Path, default=Path("runs/autotune"), help="folder to write")
    parser.add_argument("--epochs", type=float, default=2.0, help="of every training stage")
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.95, 0.9, 0.8, 0.5], help="of the students")
    parser.add_argument("--tolerable-loss", type=float, default=0.01, help="share of the teacher's accuracy")
    options = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(options.teacher)
    files = {split: str(options.data / f"{split}.csv") for split in ("train", "validation")}
    data = load_dataset("csv", data_files=files).map(
        lambda rows: tokenizer(rows["sentence"], truncation=True, max_length=64),
        batched=True,
        remove_columns=["sentence"],
    )
    data = data.rename_column("label", "labels")
    args = TrainingArguments(
        str(options.output / "checkpoints"),
        num_train_epochs=options.epochs,
        learning_rate=2e-4,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        save_strategy="no",
        report_to=[],
        seed=0,
    )
    trial = Trial(
        train_dataset=data["train"],
        args=args,
        compute_metrics=accuracy,
        metric="accuracy",
        processing_class=tokenizer,
    )

    def on_validation(model: PreTrainedModel) -> float:
        model.is_quantized = False  # Neural Compressor says so of all that it returns, and Trainer refuses such models
        trainer = Trainer(model, args, processing_class=tokenizer, compute_metrics=accuracy)
        return trainer.evaluate(data["validation"])["eval_accuracy"]

    teacher = AutoModelForSequenceClassification.from_pretrained(options.teacher)
    tuning = TuningConfig(
        config_set=[MiniDiscConfig(options.sparsities, data=trial)], tolerable_loss=options.tolerable_loss
    )
    started = time.perf_counter()
    student = autotune(teacher, tuning, eval_fn=on_validation)
    print(f"seconds: {time.perf_counter() - started:.0f}")
    print(f"accuracy: {on_validation(student):.4f}, of the teacher {on_validation(teacher):.4f}")
    print(f"parameters: {student.num_parameters():,} of {teacher.num_parameters():,}")
    student.save_pretrained(options.output / "student")
    tokenizer.save_pretrained(options.output / "student")


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Share of predictions that are right."""
    return {"accuracy": float(np.mean(prediction.predictions.argmax(-1) == prediction.label_ids))}


if __name__ == "__main__":
    main()
