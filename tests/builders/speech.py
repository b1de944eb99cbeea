"""Tiny talks, of words that are tones, and a Whisper that learned to write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizerFast,
)

from minidisc_plugin.contracts.task import IGNORED
from minidisc_plugin.tasks.sounds import SoundCollator
from tests.builders.sounds import PITCHES, RATE
from tests.builders.tiny import THREE_EPOCHS
from tests.builders.tiny_configs import WHISPER

WORDS = list(PITCHES)
CHANCE = 1 / len(WORDS)
_SECONDS = 0.12
_MOST = 4
SPECIAL = (
    *("endoftext", "startoftranscript", "en", "translate", "transcribe", "startoflm", "startofprev", "nospeech"),
    "notimestamps",
)
"""Names of Whisper's special tokens, in its order."""


def make_talk(seed: int) -> tuple[NDArray[Any], str]:
    """(samples,) of one to four words, and what was said."""
    drawn = np.random.default_rng(seed)
    words = [str(word) for word in drawn.choice(WORDS, drawn.integers(1, _MOST + 1))]
    times = np.arange(int(RATE * _SECONDS)) / RATE
    fade = np.hanning(len(times))
    tones = [fade * np.sin(2 * np.pi * PITCHES[word] * drawn.uniform(0.95, 1.05) * times) for word in words]
    sound = 0.5 * np.concatenate(tones) + 0.01 * drawn.standard_normal(len(times) * len(words))
    return sound.astype(np.float32), " ".join(words)


def write_talks(folder: Path, counts: dict[str, int]) -> None:
    """Splits as `audiofolder` reads them, with what is said in `metadata.csv`."""
    for place, (split, count) in enumerate(counts.items()):
        (folder / split).mkdir(parents=True)
        lines = ["file_name,text"]
        for number in range(count):
            sound, said = make_talk(1000 * place + number)
            soundfile.write(folder / split / f"{number}.wav", sound, RATE)
            lines.append(f"{number}.wav,{said}")
        (folder / split / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_writer(**settings: Any) -> tuple[PreTrainedModel, WhisperProcessor]:
    """A tiny Whisper from a config, and its processor."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator([" ".join(WORDS), " ".join(WORDS[::-1])], trainer)
    special = [f"<|{name}|>" for name in SPECIAL]
    core.add_special_tokens(special)  # behind all others, as what follows the last is a time
    tokenizer = WhisperTokenizerFast(tokenizer_object=core, pad_token=special[0], additional_special_tokens=special)
    tokenizer.set_prefix_tokens()
    end, start = tokenizer.convert_tokens_to_ids(special[:2])
    tokens = {"vocab_size": len(tokenizer), **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), end)}
    of_texts = {**tokens, "decoder_start_token_id": start, "suppress_tokens": [], "begin_suppress_tokens": []}
    config = WhisperConfig(**{**WHISPER, **of_texts, "max_source_positions": 50, **settings})
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config)
    extractor = WhisperFeatureExtractor(feature_size=WHISPER["num_mel_bins"], chunk_length=1)
    return model, WhisperProcessor(extractor, tokenizer)


def make_speech_run(folder: Path, steps: int = 400, **changes: Any) -> dict[str, Any]:
    """A teacher that learned to write, and the config of a run on its talks."""
    talks, teacher = folder / "talks", folder / "teacher"
    write_talks(talks, {"train": 200, "test": 40})
    model, processor = make_writer()
    model.eval()  # nothing is dropped
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=max(steps, 2))
    collate = SoundCollator(processor.feature_extractor, _SECONDS * _MOST)
    for step in range(steps):
        sounds, said = zip(*(make_talk(10_000 + 24 * step + place) for place in range(24)), strict=True)
        targets = [ids[1:] for ids in processor.tokenizer(list(said))["input_ids"]]
        labels = torch.full((len(targets), max(map(len, targets))), IGNORED)
        for row, ids in zip(labels, targets, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        model(**collate.of(list(sounds)), labels=labels).loss.backward()
        optimizer.step()
        decay.step()
        optimizer.zero_grad()
    model.save_pretrained(teacher)
    processor.save_pretrained(teacher)
    return {
        "model": str(teacher),
        "task": "automatic-speech-recognition",
        "dataset": {"path": "audiofolder", "data_dir": str(talks), "label": "text"},
        "metric": "bits_saved",
        "pruning": {"target_sparsity": 0.5},
        "scheduler": "minidisc",
        "scheduler_config": {"lambda": 0.2, "candidates": [0.8, 0.6]},
        "training": dict(THREE_EPOCHS),
        "max_length": 16,
        "output_dir": str(folder / "out"),
        **changes,
    }
