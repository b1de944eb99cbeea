"""Sounds: read as the teacher's extractor reads them, of one length, left in their files."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from transformers import AutoModelForAudioClassification, pipeline

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.inputs import NOT_TEXTS
from minidisc_plugin.contracts.output import RESOLVED_CONFIG
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.digests import digest_of_dataset
from minidisc_plugin.foundation.errors import ConfigError, RunDirectoryError
from minidisc_plugin.integrations.export.optimum_sounds import with_plain_weights
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.steps.report import Report
from minidisc_plugin.tasks.frames import convolutions, frame_mask
from minidisc_plugin.tasks.registry import TASKS
from minidisc_plugin.tasks.sounds import SoundCollator, read_sound
from minidisc_plugin.training.checkpoints import checkpoints_in
from minidisc_plugin.training.dependable import DependableTraining
from minidisc_plugin.training.observing import Asked
from minidisc_plugin.training.teacher_examples import Examples
from minidisc_plugin.training.teacher_store import TeacherStore
from tests.builders.kills import killed_at
from tests.builders.pictures import write_config
from tests.builders.sounds import (
    LONGEST,
    PITCHES,
    RATE,
    config_of,
    make_listener,
    make_sound,
    make_sound_run,
    of_a_copy,
    of_another_teacher,
)
from tests.builders.zoo import make_model
from tests.faults.outcome import difference, outcome

SCHEMES = [
    name for name, way in WAYS.items() if available(way.capability, way.route) and name != "torchao_int8"
]  # which is refused, as a test below says
CHANCE = 1 / len(PITCHES)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_sound_run(tmp_path_factory.mktemp("sounds"))


def test_the_student_learns_and_loads_where_this_package_is_not(made: dict[str, Any], tmp_path: Path) -> None:
    result = compress(config_of(made, tmp_path))
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > CHANCE + 0.4
    assert [candidate.scale for candidate in result.schedule.candidates] == [0.8, 0.6]
    assert result.results.examples == 45
    assert result.results.audio_size is not None and 0.39 * RATE < result.results.audio_size[0] <= LONGEST * RATE
    out = tmp_path / "out"
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: audio-classification" in card and " samples" in card
    assert "AutoModelForAudioClassification" in card and "- audiofolder" not in card
    _, extractor = make_listener()
    heard = extractor([make_sound("high", 1)], sampling_rate=RATE, return_tensors="pt")
    loaded = AutoModelForAudioClassification.from_pretrained(out / "student", trust_remote_code=True)
    with torch.no_grad():
        assert torch.allclose(loaded(**heard).logits, result.student(**heard).logits, atol=1e-6)
    classify = pipeline("audio-classification", model=str(out / "student"), trust_remote_code=True, device="cpu")
    assert classify(make_sound("high", 1))[0]["label"] == "high"


@pytest.mark.skipif(not available("openvino_bits"), reason="no host exports to OpenVINO")
@pytest.mark.parametrize(
    ("formats", "schemes"),
    [
        (["openvino"], ["openvino_static"]),
        pytest.param(["openvino", "onnx"], SCHEMES, marks=pytest.mark.slow),
    ],
)
def test_exports_and_fewer_bits_keep_the_metric(
    formats: list[str], schemes: list[str], made: dict[str, Any], tmp_path: Path
) -> None:
    """Of a teacher that is given masks: exporters of Optimum leave them out of what they know of."""
    steps = {"steps": ["export", "quantization"], "export": {"formats": formats}, "quantization": {"schemes": schemes}}
    result = compress(config_of(made, tmp_path, scheduler="direct", scheduler_config={}, **steps))
    rows = [row for row in result.results.rows if row.role == "student"]
    assert len(rows) == 1 + len(formats) + len(schemes)
    assert rows[0].metric is not None and rows[0].metric > CHANCE + 0.4
    for row in rows:
        assert row.metric == pytest.approx(rows[0].metric, abs=0.03), row.runtime
    for folder in (tmp_path / "out").glob("student-*"):
        assert (folder / "preprocessor_config.json").is_file(), folder


@pytest.mark.skipif(not available("torch_bits", "torchao"), reason="torchao is not there")
def test_a_scheme_that_asks_for_embeddings_is_refused_before_training(made: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(made, tmp_path, steps=["quantization"], quantization={"schemes": ["torchao_int8"]})
    with pytest.raises(ConfigError, match=r"quantization.schemes: 'torchao_int8' cannot be done.* wav2vec2 has none"):
        prepare(config, tmp_path / "checkpoints")


@pytest.mark.parametrize("kind", ["wav2vec2", "ast", "whisper"])
def test_models_of_every_kind_run(kind: str, made: dict[str, Any], tmp_path: Path) -> None:
    result = compress(validate(CompressionConfig, of_another_teacher(made, tmp_path, kind)))
    student = result.results.row("student")
    assert student is not None and student.metric is not None
    size = result.results.audio_size
    assert size is not None and (len(size) == 1 or size in {(40, 16), (16, 100)})


def test_the_protocol_plan_and_a_second_look(
    made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {**made, "output_dir": str(tmp_path / "out"), "protocol": "published", "scheduler": "direct"}
    data = {**data, "scheduler_config": {}, "training": {**made["training"], "max_steps": 2}}
    file = write_config(tmp_path, data)
    assert main(["plan", str(file)]) == 0
    assert "24 sounds of 6,39" in " ".join(capsys.readouterr().out.split())
    assert main(["run", str(file)]) == 0
    resolved = tmp_path / "out" / RESOLVED_CONFIG
    assert main(["run", str(resolved), "--resume"]) == 0


@pytest.mark.parametrize("kind", ["masked", "ast"])
@pytest.mark.quick_on("inc")
def test_a_stage_that_was_killed_goes_on_from_its_checkpoint(
    kind: str, made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {**made["training"], "max_steps": 6, "save_strategy": "steps", "save_steps": 2}
    data = {**of_another_teacher(made, tmp_path, kind), "training": training}
    config = validate(CompressionConfig, data)
    killed_at(monkeypatch, DependableTraining, "training_step", config, time=9)
    assert [found.step for found in checkpoints_in(tmp_path / "out" / "checkpoints" / "sandwich", sealed=True)]
    result = compress(config, resume=True)
    whole = compress(validate(CompressionConfig, {**data, "output_dir": str(tmp_path / "whole")}))
    assert difference(outcome(whole.output_dir), outcome(result.output_dir)) is None
    one, other = (load_file(run.output_dir / "student" / "model.safetensors") for run in (result, whole))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_other_sounds_are_another_run(made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = of_a_copy(made, tmp_path, lambda sounds: None)
    killed_at(monkeypatch, Report, "run", config)
    soundfile.write(tmp_path / "sounds" / "train" / "low" / "0.wav", make_sound("low", 77), RATE)
    with pytest.raises(RunDirectoryError, match=r"dataset \(split to train on\)"):
        compress(config, resume=True)


def test_a_digest_is_of_what_files_hold(made: dict[str, Any], tmp_path: Path) -> None:
    def split(folder: Path) -> Any:
        return prepare(of_a_copy(made, folder, lambda sounds: None), folder / "checkpoints").splits.train

    first, second = (split(tmp_path / name) for name in ("one", "two"))
    assert digest_of_dataset(first) == digest_of_dataset(second)
    soundfile.write(tmp_path / "two" / "sounds" / "train" / "low" / "0.wav", make_sound("low", 77), RATE)
    assert digest_of_dataset(first) != digest_of_dataset(second)


@pytest.mark.parametrize("kind", ["wav2vec2", "masked", "whisper"])
def test_what_a_model_says_of_a_sound_does_not_depend_on_its_batch(kind: str, tmp_path: Path) -> None:
    """Where batches were padded to their longest sound, models without a mask would hear more or less silence."""
    model, extractor = make_listener(kind)
    collate = SoundCollator(extractor, LONGEST)
    rows = []
    for seed in range(3):
        soundfile.write(tmp_path / f"{seed}.wav", make_sound("low", seed), RATE)
        rows.append({collate.name: {"path": str(tmp_path / f"{seed}.wav"), "bytes": None}, "labels": seed})
    with torch.no_grad():
        together = model.eval()(**collate(rows)).logits
        alone = torch.cat([model(**collate([row])).logits for row in rows])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_mask_of_frames_is_that_of_transformers() -> None:
    model, _ = make_listener("masked")
    mask = torch.zeros(3, 5000, dtype=torch.long)
    for row, length in enumerate((5000, 731, 4000)):
        mask[row, :length] = 1
    frames = model.base_model(torch.randn(3, 5000), attention_mask=mask).last_hidden_state.shape[1]
    own = frame_mask(mask, frames, convolutions(model.config))
    assert own is not None and own.sum(1).tolist()[0] == frames
    assert torch.equal(own.bool(), model.base_model._get_feature_vector_attention_mask(frames, mask).bool())
    assert frame_mask(mask, frames, ()) is None
    squeezed = make_model("sew")
    states = squeezed.base_model(torch.randn(3, 5000), attention_mask=mask, output_hidden_states=True).hidden_states
    own = frame_mask(mask, states[0].shape[1], convolutions(squeezed.config))
    assert own is not None and own.shape == states[0].shape[:2] and own.sum(1).tolist()[0] == states[0].shape[1]
    assert frame_mask(mask, 5000, ()) is mask


def test_sounds_of_other_rates_and_channels_are_heard_alike(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    soundfile.write(tmp_path / "stereo.flac", np.stack([tone, 0.5 * tone], axis=1), 44_100)
    soundfile.write(tmp_path / "mono.wav", 0.75 * tone[::2], 22_050)
    found = [
        read_sound({"path": None, "bytes": (tmp_path / name).read_bytes()}, 0.5, RATE)
        for name in ("stereo.flac", "mono.wav")
    ]
    wanted = 0.75 * np.sin(2 * np.pi * 440 * np.arange(8_000) / RATE)
    for sound in found:
        assert sound.shape == (8_000,)
        assert np.abs(sound - wanted)[100:-100].max() < 0.02


def test_outputs_that_are_kept_are_those_of_the_teacher(made: dict[str, Any], tmp_path: Path) -> None:
    prepared = prepare(config_of(made, tmp_path), tmp_path)
    objective = MiniDiscObjective(DistillationConfig(), regression=False)
    collate = prepared.task.collator(prepared.processor)
    assert collate is not None
    rows = prepared.splits.train.select(range(20))
    kept = TeacherStore(tmp_path / "kept", 2**30).cache(
        prepared.teacher,
        Examples(rows, collate, 8, prepared.task),
        Asked(True, objective.compared_states, None),
        required=True,
        quiet=True,
    )
    assert kept is not None
    batch = collate([rows[row] for row in (3, 17)])
    with torch.no_grad():
        wanted = prepared.teacher(**prepared.task.inputs(batch, prepared.teacher), output_hidden_states=True)
    found = kept.read([3, 17], torch.ones(2, kept.tokens))
    assert torch.allclose(found.logits, wanted.logits, atol=1e-5)
    assert torch.allclose(found.hidden_states[-1], wanted.hidden_states[-1], atol=5e-3)
    student, _, compared = prepared.task.compared(wanted, wanted, batch)
    assert compared["attention_mask"].shape == student.hidden_states[0].shape[:2]
    kept.close()


def test_a_sound_may_have_several_labels_or_none_that_is_read(made: dict[str, Any], tmp_path: Path) -> None:
    files = {}
    for split, place in (("train", "train"), ("test", "test"), ("unlabelled", "train")):
        sounds = sorted((Path(made["dataset"]["data_dir"]) / place).rglob("*.wav"))
        labels = [{} if split == "unlabelled" else {"label": [file.parent.name]} for file in sounds]
        rows = [json.dumps({"clip": str(file), **label}) for file, label in zip(sounds, labels, strict=True)]
        files[split] = str(tmp_path / f"{split}.jsonl")
        Path(files[split]).write_text("\n".join(rows), encoding="utf-8")
    data = of_another_teacher(made, tmp_path, "ast", problem_type="multi_label_classification")
    dataset = {"path": "json", "data_files": files, "audio": "clip"}
    result = compress(validate(CompressionConfig, {**data, "dataset": dataset, "metric": "f1"}))
    student = result.results.row("student")
    assert student is not None and student.metric is not None


def test_long_sounds_are_cut_and_this_is_said(
    made: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = {**made["dataset"], "max_seconds": 0.25}
    with caplog.at_level(logging.WARNING):
        prepared = prepare(config_of(made, tmp_path, dataset=dataset), tmp_path)
    assert "sounds of split 'train' are longer than 0.25 seconds (one has 0.3" in caplog.text
    batch = prepared.task.collator(prepared.processor)([prepared.splits.train[0]])  # type: ignore[misc]
    assert batch["input_values"].shape == (1, 4000)


def test_what_an_extractor_leaves_out_is_said(
    made: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def add_long(sounds: Path) -> None:
        soundfile.write(sounds / "train" / "low" / "0.wav", np.tile(make_sound("low", 1), 10), RATE)

    data = of_another_teacher(made, tmp_path, "ast")
    sounds = of_a_copy(made, tmp_path, add_long).dataset.data_dir
    with caplog.at_level(logging.WARNING):
        prepare(validate(CompressionConfig, {**data, "dataset": {**made["dataset"], "data_dir": sounds}}), tmp_path)
    assert caplog.text.count("tokenizer: ASTFeatureExtractor keeps 0.4") == 1
    assert "the longest has 2.0" in caplog.text or "the longest has 3" in caplog.text


def test_paths_in_csv_files_do_as_well(made: dict[str, Any], tmp_path: Path) -> None:
    files = {}
    for split in ("train", "test"):
        sounds = sorted((Path(made["dataset"]["data_dir"]) / split).rglob("*.wav"))
        files[split] = str(tmp_path / f"{split}.csv")
        rows = [f"{file},{file.parent.name}" for file in sounds]
        Path(files[split]).write_text("\n".join(["audio,label", *rows]), encoding="utf-8")
    prepared = prepare(config_of(made, tmp_path, dataset={"path": "csv", "data_files": files}), tmp_path)
    assert len(prepared.splits.report) == 45


def test_a_run_goes_on_with_as_much_of_each_sound(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(made, tmp_path)
    killed_at(monkeypatch, Report, "run", config)
    with pytest.raises(RunDirectoryError, match=r"dataset\.max_seconds"):
        compress(config_of(made, tmp_path, dataset={**made["dataset"], "max_seconds": 0.3}), resume=True)


def test_tasks_on_other_things_than_texts_have_readers_of_their_own() -> None:
    assert {name for name, task in TASKS.items() if task.reader != "tokenizer"} == set(NOT_TEXTS)


def test_weights_that_are_computed_are_written_as_they_are() -> None:
    model, _ = make_listener("masked")
    sound = torch.randn(2, 6400)
    plain = with_plain_weights(model.eval())
    assert not any("parametrizations" in name for name, _ in plain.named_parameters())
    assert any("parametrizations" in name for name, _ in model.named_parameters())
    with torch.no_grad():
        assert torch.allclose(model(sound).logits, plain(sound).logits, atol=1e-6)
