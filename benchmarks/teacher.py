"""Fine-tune a pretrained model on a CSV file, and save it with its tokenizer.

python -m benchmarks.teacher TRAIN.csv FOLDER --text COLUMN [COLUMN] --pretrained FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.tasks import LABEL, MAX_LENGTH, demo
from minidisc_plugin.foundation.atomic import atomic_folder

if TYPE_CHECKING:
    from datasets import Dataset

EPOCHS = 3
LEARNING_RATE = 5e-5
LARGE_RATE = 3e-5
LARGE = 50_000_000  # parameters; MiniLM has 23 million, MPNet-base 110
BATCH = 16
SEED = 0


def fine_tune(train_file: Path, folder: Path, text: list[str], pretrained: Path) -> None:
    """Train a classifier of two labels; the folder is there when it is done.

    Args:
        train_file: CSV.
        folder: Where the model goes.
        text: Columns of the text.
        pretrained: Folder of the model to start from.
    """
    from datasets import load_dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    preparation = demo()
    set_seed(SEED)  # the head is made at random
    model = AutoModelForSequenceClassification.from_pretrained(pretrained, num_labels=2)
    tokenizer = AutoTokenizer.from_pretrained(pretrained, model_max_length=model.config.max_position_embeddings)

    def encode(rows: dict[str, list[Any]]) -> dict[str, Any]:
        columns = [[str(cell) for cell in rows[name]] for name in text]
        return {**tokenizer(*columns, truncation=True, max_length=MAX_LENGTH), "labels": rows[LABEL]}

    raw: Dataset = load_dataset("csv", data_files=str(train_file), split="train")
    train = raw.map(encode, batched=True, remove_columns=raw.column_names)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as partial:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=str(partial),
                num_train_epochs=EPOCHS,
                learning_rate=LARGE_RATE if model.num_parameters() > LARGE else LEARNING_RATE,
                per_device_train_batch_size=BATCH,
                weight_decay=0.01,
                optim="adamw_torch_fused",
                save_strategy="no",
                logging_steps=50,
                report_to=[],
                disable_tqdm=True,
                dataloader_pin_memory=False,
                seed=SEED,
                **preparation.group_by_length(TrainingArguments),
            ),
            train_dataset=train,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.train()
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="CSV file")
    parser.add_argument("folder", type=Path, help="where the model goes")
    parser.add_argument("--text", nargs="+", required=True, help="column of the sentence, or two of a pair")
    parser.add_argument("--pretrained", type=Path, required=True, help="folder of the model to start from")
    options = parser.parse_args()
    fine_tune(options.train, options.folder, options.text, options.pretrained)


if __name__ == "__main__":
    main()
