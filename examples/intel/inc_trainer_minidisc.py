"""Prune and distil a sentence classifier with Optimum Intel's INCTrainer."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from datasets import load_dataset
from neural_compressor.config import DistillationConfig, KnowledgeDistillationLossConfig, WeightPruningConfig
from transformers import AutoModelForSequenceClassification, AutoTokenizer, EvalPrediction, TrainingArguments

from minidisc_plugin.integrations.optimum import ScheduledINCTrainer as INCTrainer


def main() -> None:
    """Read the data, train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True, help="folder or Hub name of a fine-tuned classifier")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--epochs", type=float, default=3.0)
    options = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(options.teacher)
    files = {split: str(options.data / f"{split}.csv") for split in ("train", "test")}
    data = load_dataset("csv", data_files=files).map(
        lambda rows: tokenizer(rows["sentence"], truncation=True, max_length=64),
        batched=True,
        remove_columns=["sentence"],
    )
    trainer = INCTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(options.teacher),
        args=TrainingArguments(
            options.output,
            do_train=True,
            num_train_epochs=options.epochs,
            learning_rate=2e-4,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=64,
            group_by_length=True,
            save_strategy="no",
            report_to=[],
            seed=0,
        ),
        train_dataset=data["train"].rename_column("label", "labels"),
        eval_dataset=data["test"].rename_column("label", "labels"),
        processing_class=tokenizer,
        compute_metrics=accuracy,
        pruning_config=WeightPruningConfig(
            pruning_configs=[{}], target_sparsity=0.9, pruning_type="magnitude", start_step=0, end_step=200
        ),
        distillation_config=DistillationConfig(
            teacher_model=AutoModelForSequenceClassification.from_pretrained(options.teacher),
            criterion=KnowledgeDistillationLossConfig(temperature=1.0, loss_weights=[0.5, 0.5]),
        ),
        scheduler="minidisc",
    )
    trainer.train()
    print(f"accuracy: {trainer.evaluate()['eval_accuracy']:.4f}")
    print(f"parameters: {sum(parameter.numel() for parameter in trainer.model.parameters()):,}")
    trainer.save_model(options.output)


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Share of predictions that are right."""
    return {"accuracy": float(np.mean(prediction.predictions.argmax(-1) == prediction.label_ids))}


if __name__ == "__main__":
    main()
