"""Tiny sounds that can be told apart by their pitch, and teachers that learned to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from minidisc_plugin import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.tasks.sounds import SoundCollator
from tests.builders.tiny import THREE_EPOCHS
from tests.builders.tiny_configs import AST, WAV2VEC2, WHISPER

PITCHES = {"low": 200.0, "middle": 700.0, "high": 2500.0}
RATE = 16_000
LONGEST = 0.4


def make_sound(pitch: str, seed: int, rate: int = RATE) -> NDArray[Any]:
    """(samples,) of a tone in noise, of 0.2 to 0.4 seconds."""
    drawn = np.random.default_rng(seed)
    times = np.arange(int(rate * drawn.uniform(0.2, LONGEST))) / rate
    tone = np.sin(2 * np.pi * PITCHES[pitch] * drawn.uniform(0.9, 1.1) * times + drawn.uniform(0, 6))
    return (0.3 * tone + 0.1 * drawn.standard_normal(len(times))).astype(np.float32)


def write_sounds(folder: Path, counts: dict[str, int]) -> None:
    """Splits as `audiofolder` reads them: a folder for each class of each split."""
    names = list(PITCHES)
    for place, (split, count) in enumerate(counts.items()):
        for number in range(count):
            pitch = names[number % len(names)]
            file = folder / split / pitch / f"{number}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, make_sound(pitch, 1000 * place + number), RATE)


def make_listener(kind: str = "masked", **settings: Any) -> tuple[PreTrainedModel, Any]:
    """A tiny model from a config, and its feature extractor.

    Args:
        kind: "wav2vec2" and "masked" read samples, the second with a mask of what is real; "ast" and "whisper" read
            spectrograms, all of which are of one size.
        settings: Of its config.
    """
    torch.manual_seed(0)
    names = dict(enumerate(PITCHES))
    labels = {"id2label": names, "label2id": {name: place for place, name in names.items()}, **settings}
    if kind == "ast":
        config = ASTConfig(**AST, **labels)
        return ASTForAudioClassification(config), ASTFeatureExtractor(
            num_mel_bins=AST["num_mel_bins"], max_length=AST["max_length"]
        )
    if kind == "whisper":
        config = WhisperConfig(**{**WHISPER, "max_source_positions": 50}, **labels)
        return WhisperForAudioClassification(config), WhisperFeatureExtractor(
            feature_size=WHISPER["num_mel_bins"], chunk_length=1
        )
    masked = kind == "masked"
    config = Wav2Vec2Config(
        feat_extract_norm="layer" if masked else "group",
        do_stable_layer_norm=masked,
        **{**WAV2VEC2, "conv_kernel": (40, 8), "conv_stride": (20, 8)},
        **labels,
    )
    return Wav2Vec2ForSequenceClassification(config), Wav2Vec2FeatureExtractor(return_attention_mask=masked)


def make_sound_run(folder: Path, kind: str = "masked", epochs: int = 12, **changes: Any) -> dict[str, Any]:
    """A teacher that learned its sounds, and the config of a run on them."""
    sounds, teacher = folder / "sounds", folder / "teacher"
    write_sounds(sounds, {"train": 120, "test": 45})
    model, extractor = make_listener(kind)
    model.eval()  # nothing is dropped
    rows = [(pitch, seed) for seed in range(40) for pitch in PITCHES]
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * 5)
    collate = SoundCollator(extractor, LONGEST)
    for epoch in range(epochs):
        for start in range(0, len(rows), 24):
            part = rows[start : start + 24]
            heard = collate.of([make_sound(pitch, 5000 + 97 * epoch + seed) for pitch, seed in part])
            labels = torch.tensor([list(PITCHES).index(pitch) for pitch, _ in part])
            model(**heard, labels=labels).loss.backward()
            optimizer.step()
            decay.step()
            optimizer.zero_grad()
    model.save_pretrained(teacher)
    extractor.save_pretrained(teacher)
    return {
        "model": str(teacher),
        "task": "audio-classification",
        "dataset": {"path": "audiofolder", "data_dir": str(sounds)},
        "metric": "accuracy",
        "pruning": {"target_sparsity": 0.6},
        "scheduler": "minidisc",
        "scheduler_config": {"lambda": 0.2, "candidates": [0.8, 0.6]},
        "training": dict(THREE_EPOCHS),
        "output_dir": str(folder / "out"),
        **changes,
    }


def config_of(made: dict[str, Any], folder: Path, **changes: Any) -> CompressionConfig:
    """The config of a run in a folder of its own, with changes."""
    return validate(CompressionConfig, {**made, "output_dir": str(folder / "out"), **changes})


def of_a_copy(made: dict[str, Any], folder: Path, change: Callable[[Path], Any]) -> CompressionConfig:
    """The config with a changed copy of the sounds."""
    sounds = folder / "sounds"
    shutil.copytree(made["dataset"]["data_dir"], sounds)
    change(sounds)
    return config_of(made, folder, dataset={**made["dataset"], "data_dir": str(sounds)})


def of_another_teacher(made: dict[str, Any], folder: Path, kind: str, **settings: Any) -> dict[str, Any]:
    """The config with a teacher of another kind, which learned nothing."""
    model, extractor = make_listener(kind, **settings)
    for part in (model, extractor):
        part.save_pretrained(folder / "teacher")
    training = {**made["training"], "max_steps": 2}
    return {**made, "model": str(folder / "teacher"), "output_dir": str(folder / "out"), "training": training}
