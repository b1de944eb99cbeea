"""Make what the example of sounds needs: tones that move in four ways, in noise, and a teacher that tells them apart.

Nothing is downloaded: the sounds are computed, and the teacher is trained from nothing.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

RATE = 16_000
SPLITS = {"train": 1_200, "validation": 100, "test": 500}
# Octaves that a tone has moved, by the share of its time that is over.
WAYS = {
    "falling": lambda passed: -passed,
    "rising": lambda passed: passed,
    "steady": lambda passed: 0 * passed,
    "wavering": lambda passed: 0.3 * np.sin(8 * np.pi * passed),
}
SEED = 0
BATCH = 32


def main() -> None:
    """Parse the command line and do what is not done yet."""
    parser = argparse.ArgumentParser(
        description=(
            "(1) DATA: 1,800 computed sounds of half a second to a second, a folder for each class of each split: "
            "tones that fall, rise, stay or waver, in noise that is louder than they are. (2) TEACHER: an audio "
            "spectrogram transformer of four layers, trained on them from nothing."
        ),
        epilog="Delete a result's folder to have it made again, for example with other options.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that gets sounds-data/ and -teacher/")
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="of the teacher's training")
    args = parser.parse_args()
    data, teacher = args.runs / "sounds-data", args.runs / "sounds-teacher"
    if data.exists():
        print(f"data: {data} is ready, skipped")
    else:
        write_sounds(data)
    if teacher.exists():
        print(f"teacher: {teacher} is ready, skipped")
    else:
        train_teacher(teacher, data, args.epochs)


def write_sounds(folder: Path) -> None:
    """Write every sound as a file, under the name of its class."""
    import soundfile

    drawn = np.random.default_rng(SEED)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for split, count in SPLITS.items():
        for number in range(count):
            way = list(WAYS)[number % len(WAYS)]
            file = partial / split / way / f"{number}.flac"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, make_sound(way, drawn), RATE)
    partial.replace(folder)
    print(f"data: {folder} written, {', '.join(f'{count:,} {split}' for split, count in SPLITS.items())}")


def make_sound(way: str, drawn: np.random.Generator) -> NDArray[Any]:
    """(samples,) of a tone in noise."""
    samples = int(RATE * drawn.uniform(0.5, 1.0))
    frequency = drawn.uniform(500, 2000) * 2 ** WAYS[way](np.arange(samples) / samples)
    tone = np.sin(2 * np.pi * np.cumsum(frequency) / RATE)
    return 0.1 * tone + drawn.uniform(0.1, 0.2) * drawn.standard_normal(samples)


def train_teacher(folder: Path, data: Path, epochs: int) -> None:
    """Train a teacher and save it with its feature extractor."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(SEED)
    extractor = ASTFeatureExtractor(num_mel_bins=64, max_length=96, do_normalize=True, mean=0.7, std=2.7)
    model = ASTForAudioClassification(
        ASTConfig(
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=8,
            intermediate_size=256,
            patch_size=16,
            frequency_stride=16,
            time_stride=16,
            max_length=96,
            num_mel_bins=64,
            id2label=dict(enumerate(WAYS)),
            label2id={name: place for place, name in enumerate(WAYS)},
        )
    )
    inputs, labels = read_split(data / "train", extractor)
    steps = epochs * -(-len(labels) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-4, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-4, total_steps=steps)
    for epoch in range(epochs):
        for part in torch.randperm(len(labels)).split(BATCH):
            loss = model(input_values=inputs[part], labels=labels[part]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        print(f"teacher: epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}", flush=True)
    inputs, labels = read_split(data / "validation", extractor)
    with torch.no_grad():
        right = (model.eval()(input_values=inputs).logits.argmax(-1) == labels).float().mean().item()
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in (model, extractor):
        part.save_pretrained(partial)
    partial.replace(folder)
    print(f"teacher: {folder} written, accuracy {right:.3f} on the validation split")


def read_split(folder: Path, extractor: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectrograms (sounds, frames, bands) and classes (sounds,) of a split."""
    import soundfile

    files = sorted(folder.rglob("*.flac"))
    found = [
        extractor(soundfile.read(file, dtype="float32")[0], sampling_rate=RATE, return_tensors="pt") for file in files
    ]
    labels = [list(WAYS).index(file.parent.name) for file in files]
    return torch.cat([each["input_values"] for each in found]), torch.tensor(labels)


if __name__ == "__main__":
    main()
