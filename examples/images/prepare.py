"""Make what the example of images needs: small images of digits that people wrote, and a teacher that reads them.

The digits come with scikit-learn, so no hub is asked for anything.
"""

from __future__ import annotations

import argparse
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

SIDE = 16  # the digits have 8 x 8 pixels; the teacher is given twice as many each way
SPLITS = {"train": 1_197, "validation": 100, "test": 500}
SEED = 0
BATCH = 32


def main() -> None:
    """Parse the command line and do what is not done yet."""
    parser = argparse.ArgumentParser(
        description=(
            "(1) DATA: 1,797 images of handwritten digits (UCI Optical Recognition of Handwritten Digits, from "
            "scikit-learn), a folder for each class of each split. (2) TEACHER: a vision transformer of four layers, "
            "trained on them from nothing."
        ),
        epilog="Delete a result's folder to have it made again, for example with other options.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that gets images-data/ and -teacher/")
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="of the teacher's training")
    args = parser.parse_args()
    data, teacher = args.runs / "images-data", args.runs / "images-teacher"
    if data.exists():
        print(f"data: {data} is ready, skipped")
    else:
        write_images(data)
    if teacher.exists():
        print(f"teacher: {teacher} is ready, skipped")
    else:
        train_teacher(teacher, data, args.epochs)


def write_images(folder: Path) -> None:
    """Write every digit as a file, under the name of its class."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    places = list(range(len(digits.target)))
    random.Random(SEED).shuffle(places)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for split, count in SPLITS.items():
        mine, places = places[:count], places[count:]
        for place in mine:
            file = partial / split / str(digits.target[place]) / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[place] * 255 / 16).astype(np.uint8)).save(file)
    partial.replace(folder)
    print(f"data: {folder} written, {', '.join(f'{count:,} {split}' for split, count in SPLITS.items())}")


def train_teacher(folder: Path, data: Path, epochs: int) -> None:
    """Train a teacher and save it with its image processor."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(SEED)
    names = {digit: str(digit) for digit in range(10)}
    processor = ViTImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=[0.5], image_std=[0.5])
    model = ViTForImageClassification(
        ViTConfig(
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=8,
            intermediate_size=256,
            image_size=SIDE,
            patch_size=4,
            num_channels=1,
            id2label=names,
            label2id={name: digit for digit, name in names.items()},
        )
    )
    pixels, labels = read_split(data / "train", processor)
    steps = epochs * -(-len(labels) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for epoch in range(epochs):
        for part in torch.randperm(len(labels)).split(BATCH):
            loss = model(pixel_values=pixels[part], labels=labels[part]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        print(f"teacher: epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", flush=True)
    pixels, labels = read_split(data / "validation", processor)
    with torch.no_grad():
        right = (model.eval()(pixel_values=pixels).logits.argmax(-1) == labels).float().mean().item()
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in (model, processor):
        part.save_pretrained(partial)
    partial.replace(folder)
    print(f"teacher: {folder} written, accuracy {right:.3f} on the validation split")


def read_split(folder: Path, processor: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (images, 1, height, width) and classes (images,) of a split."""
    files = sorted(folder.rglob("*.png"))
    images = [np.asarray(Image.open(file))[..., None] for file in files]
    return processor(images, return_tensors="pt")["pixel_values"], torch.tensor(
        [int(file.parent.name) for file in files]
    )


if __name__ == "__main__":
    main()
