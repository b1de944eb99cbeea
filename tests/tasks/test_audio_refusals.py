"""What sounds, columns, keys and feature extractors are refused for, by name and before training."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from transformers import SeamlessM4TFeatureExtractor

from minidisc_plugin import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.tasks.sounds import SoundCollator
from tests.builders.sounds import (
    RATE,
    config_of,
    make_sound,
    make_sound_run,
    of_a_copy,
    of_another_teacher,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_sound_run(tmp_path_factory.mktemp("sounds"))


def test_an_extractor_of_spectrograms_of_many_lengths_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^tokenizer: SeamlessM4TFeatureExtractor makes spectrograms as long as"):
        SoundCollator(SeamlessM4TFeatureExtractor(), 1.0).of([make_sound("low", 1)])


def test_more_must_be_kept_than_a_model_hears_at_least(made: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^dataset\.max_seconds: 0\.005 is too short for the model, .* 0\.0112"):
        prepare(config_of(made, tmp_path, dataset={**made["dataset"], "max_seconds": 0.005}), tmp_path)


@pytest.mark.skipif(available("openvino", "transformers"), reason="transformers itself exports it")
def test_inputs_that_a_runtime_does_not_take_are_refused(made: dict[str, Any], tmp_path: Path) -> None:
    data = {**of_another_teacher(made, tmp_path, "whisper"), "steps": ["export"], "export": {"formats": ["openvino"]}}
    with pytest.raises(ConfigError, match=r"^steps: 'export' cannot be done: .* takes input_values"):
        prepare(validate(CompressionConfig, data), tmp_path)


def test_what_reads_sounds_is_named_where_it_is_missing(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ConfigError, match=r"^dataset\.audio: .* soundfile, .*; pip install 'minidisc-plugin\[audio\]'"):
        prepare(config_of(made, tmp_path), tmp_path)


def write_sound(samples: Any, rate: int = RATE) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        soundfile.write(folder / "train" / "low" / "0.wav", samples, rate, subtype="FLOAT")

    return write


def write_text(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "train" / "low" / "0.wav").write_text(text, encoding="utf-8")

    return write


def cut(folder: Path) -> None:
    soundfile.write(folder / "train" / "low" / "0.flac", make_sound("low", 1), RATE)
    (folder / "train" / "low" / "0.wav").unlink()
    file = folder / "train" / "low" / "0.flac"
    file.write_bytes(file.read_bytes()[:-1000])


def cut_mp3(folder: Path) -> None:
    """Whose header still says how long it was."""
    file = folder / "train" / "low" / "0.mp3"
    soundfile.write(file, np.tile(make_sound("low", 1), 10), RATE)
    (folder / "train" / "low" / "0.wav").unlink()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


BROKEN: list[tuple[Callable[[Path], Any], str]] = [
    (write_text(""), "row .* cannot be read: .*0.wav is no audio"),
    (write_text("no sound"), "row .* cannot be read: .*0.wav is no audio"),
    (cut, "row .*(ends after|cannot be read).*0.flac"),
    (cut_mp3, "row .* ends after .*0.mp3"),
    (write_sound(np.zeros(0, np.float32)), "row .* holds no sound, its length is 0: .*0.wav"),
    (write_sound(np.full(4000, np.nan, np.float32)), r"row .* holds what is no number \(NaN or infinity\): .*0.wav"),
    (write_sound(np.zeros(60, np.float32)), "a sound of 0.00375 seconds is too short .* hears 0.0112 .*0.wav"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_sounds_that_cannot_be_used_are_refused(
    change: Callable[[Path], Any], message: str, made: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(MinidiscError, match=f"^dataset.audio: {message}"):
        prepare(of_a_copy(made, tmp_path, change), tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"clip": "x.wav", "label": "low"}], "column 'audio' is not in split 'train'; columns: clip, label"),
        ([{"audio": "not/there.wav", "label": "low"}], "row 0 .* not/there.wav is not there"),
        ([{"audio": None, "label": "low"}, {"audio": "x.wav", "label": "low"}], "row 0 .* has none"),
        ([{"audio": 3, "label": "low"}], "column 'audio' of split 'train' holds .*, and no sounds"),
        ([{"audio": [0.1, 0.2], "label": "low"}], "column 'audio' of split 'train' holds .*, and no sounds"),
    ],
)
def test_columns_without_sounds_are_refused(
    rows: list[dict[str, Any]], message: str, made: dict[str, Any], tmp_path: Path
) -> None:
    files = {}
    for split in ("train", "test"):
        files[split] = str(tmp_path / f"{split}.jsonl")
        Path(files[split]).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(MinidiscError, match=f"^dataset.audio: .*{message}"):
        prepare(config_of(made, tmp_path, dataset={"path": "json", "data_files": files}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": {"path": "audiofolder", "text": "x"}}, "dataset.text: .* is for texts, and task audio-.* sounds"),
        ({"dataset": {"path": "audiofolder", "image": "x"}}, "dataset.image: 'x' is for images, and task audio-.*"),
        ({"dataset": {"path": "audiofolder", "max_seconds": 0}}, "dataset.max_seconds: 0 "),
        ({"dataset": {"path": "audiofolder", "max_seconds": float("inf")}}, "dataset.max_seconds: inf "),
        (
            {"task": "text-classification", "dataset": {"path": "csv", "text": "t", "audio": "x"}},
            "dataset.audio: 'x' is for sounds, and task text-classification reads texts",
        ),
        (
            {"task": "image-classification", "dataset": {"path": "imagefolder", "max_seconds": 3}},
            "dataset.max_seconds: 3 is for sounds, and task image-classification reads images",
        ),
        ({"max_length": 64}, "max_length: 64 is for texts, and task audio-classification reads sounds"),
        ({"distillation": {"augment": 1}}, "distillation.augment: 1 alters texts"),
    ],
)
def test_keys_about_other_inputs_are_refused(
    changes: dict[str, Any], message: str, made: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        prepare(config_of(made, tmp_path, **changes), tmp_path)


def changed(**keys: Any) -> Callable[[Path], None]:
    """Change keys of the feature extractor's file."""

    def change(folder: Path) -> None:
        file = folder / "preprocessor_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **keys}), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "tokenizer: .* has no feature extractor"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("{"), "tokenizer: .* not valid JSON"),
        (changed(feature_extractor_type="Nothing"), "tokenizer: .* cannot be loaded: Unrecognized feature extractor"),
        (changed(sampling_rate=None), "tokenizer: Wav2Vec2FeatureExtractor says no sampling_rate"),
        (changed(feature_extractor_type="WhisperFeatureExtractor", feature_size=80), "model: .* cannot compute"),
    ],
)
def test_a_feature_extractor_that_does_not_fit_is_refused(
    change: Callable[[Path], Any], message: str, made: dict[str, Any], tmp_path: Path
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(made["model"], teacher)
    change(teacher)
    with pytest.raises(MinidiscError, match=f"^{message}"):
        prepare(config_of(made, tmp_path, model=str(teacher)), tmp_path)
