"""Tiny images that can be told apart by their colour, and a teacher that learned to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification, ViTImageProcessor

from tests.builders.tiny import THREE_EPOCHS

COLOURS = ["red", "green", "blue"]
SIDE = 16


def make_image(colour: str, seed: int, side: int = 20) -> Image.Image:
    """Noise with a tint; larger than what the model takes."""
    drawn = np.random.default_rng(seed)
    pixels = drawn.integers(0, 200, (side, side, 3), dtype=np.uint8)
    pixels[..., COLOURS.index(colour)] //= 2
    pixels[..., COLOURS.index(colour)] += 115
    return Image.fromarray(pixels)


def write_images(folder: Path, counts: dict[str, int]) -> None:
    """Splits as `imagefolder` reads them: a folder for each class of each split."""
    for place, (split, count) in enumerate(counts.items()):
        for number in range(count):
            colour = COLOURS[number % len(COLOURS)]
            file = folder / split / colour / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            make_image(colour, 1000 * place + number).save(file)


def make_vit(channels: int = 3, **settings: Any) -> PreTrainedModel:
    """A tiny model from a config."""
    torch.manual_seed(0)
    names = dict(enumerate(COLOURS))
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=SIDE,
        patch_size=8,
        num_channels=channels,
        id2label=names,
        label2id={name: place for place, name in names.items()},
        **settings,
    )
    return ViTForImageClassification(config)


def make_processor(channels: int = 3) -> Any:
    """Its image processor."""
    each = [0.5] * channels
    return ViTImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=each, image_std=each)


def make_image_run(folder: Path, epochs: int = 6, **changes: Any) -> dict[str, Any]:
    """A teacher that learned its images, and the config of a run on them."""
    images, teacher = folder / "images", folder / "teacher"
    write_images(images, {"train": 120, "test": 45})
    model, processor = make_vit(), make_processor()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    rows = [(colour, seed) for seed in range(40) for colour in COLOURS]
    for epoch in range(epochs):
        for start in range(0, len(rows), 24):
            part = rows[start : start + 24]
            pixels = processor(
                [make_image(colour, 5000 + 97 * epoch + seed) for colour, seed in part], return_tensors="pt"
            )
            labels = torch.tensor([COLOURS.index(colour) for colour, _ in part])
            model(**pixels, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval().save_pretrained(teacher)
    processor.save_pretrained(teacher)
    return {
        "model": str(teacher),
        "task": "image-classification",
        "dataset": {"path": "imagefolder", "data_dir": str(images)},
        "metric": "accuracy",
        "pruning": {"target_sparsity": 0.6},
        "scheduler": "minidisc",
        "scheduler_config": {"lambda": 0.2, "candidates": [0.8, 0.6]},
        "training": dict(THREE_EPOCHS),
        "output_dir": str(folder / "out"),
        **changes,
    }


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    """The config as a file."""
    file = folder / "compression.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    return file
