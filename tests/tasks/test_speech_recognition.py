"""Speech recognition: what a Whisper's student writes, what it is judged by, exports, and what is refused."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import pytest
import soundfile
import torch
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.output import RESOLVED_CONFIG
from minidisc_plugin.contracts.task import IGNORED
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import MinidiscError, RunDirectoryError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.training.checkpoints import checkpoints_in
from minidisc_plugin.training.dependable import DependableTraining
from tests.builders.kills import killed_at
from tests.builders.pictures import write_config
from tests.builders.sounds import make_listener
from tests.builders.speech import SPECIAL, WORDS, make_speech_run, make_talk, make_writer
from tests.faults.outcome import difference, outcome

SCHEMES = [
    name
    for name, way in WAYS.items()
    if available(way.capability, way.route)
    and (name != "openvino_static" or available("openvino_bits", "transformers"))
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_speech_run(tmp_path_factory.mktemp("speech"), steps=320)


def config_of(made: dict[str, Any], folder: Path, **changes: Any) -> CompressionConfig:
    return validate(CompressionConfig, {**made, "output_dir": str(folder / "out"), **changes})


def talks_of(made: dict[str, Any], split: str) -> list[tuple[Path, str]]:
    """Files of a split, and what is said in them."""
    folder = Path(made["dataset"]["data_dir"]) / split
    lines = (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [(folder / name, said) for name, said in (line.split(",") for line in lines)]


def test_the_student_writes_as_transformers_own_pipeline_does(made: dict[str, Any], tmp_path: Path) -> None:
    result = compress(config_of(made, tmp_path))
    out = tmp_path / "out"
    student, teacher = (result.results.row(role) for role in ("student", "teacher"))
    assert student is not None and student.metric is not None and student.metric > 0.8
    assert teacher is not None and teacher.texts["wer"] < 0.3
    assert student.perplexity is not None and student.perplexity < len(WORDS)
    assert [candidate.scale for candidate in result.schedule.candidates] == [0.8, 0.6]
    assert result.results.examples == 40 and result.results.audio_size == (16, 100)
    write = pipeline("automatic-speech-recognition", model=str(out / "student"), trust_remote_code=True, device="cpu")
    talks, settings = talks_of(made, "test"), {"max_new_tokens": 16}
    found = [
        str(write(soundfile.read(file, dtype="float32")[0], generate_kwargs=settings)["text"]).strip()
        for file, _ in talks
    ]
    assert student.texts == {"wer": pytest.approx(jiwer.wer([said for _, said in talks], found))}
    assert student.texts["wer"] < 0.5  # words by chance: two in three are wrong
    loaded = AutoModelForSpeechSeq2Seq.from_pretrained(out / "student", trust_remote_code=True).eval()
    heard = AutoProcessor.from_pretrained(out / "student").feature_extractor(
        [make_talk(1)[0]], sampling_rate=16_000, return_tensors="pt"
    )
    tokens = torch.tensor([[result.student.config.decoder_start_token_id, 20, 30]])
    with torch.no_grad():
        one, other = (model(**heard, decoder_input_ids=tokens).logits for model in (loaded, result.student.eval()))
    torch.testing.assert_close(one, other)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: automatic-speech-recognition" in card and "AutoModelForSpeechSeq2Seq" in card
    assert "wer" in card


def test_targets_begin_and_end_as_the_tokenizer_says(made: dict[str, Any], tmp_path: Path) -> None:
    prepared = prepare(config_of(made, tmp_path), tmp_path)
    tokenizer, start = prepared.processor.tokenizer, prepared.teacher.config.decoder_start_token_id
    said = [text for _, text in talks_of(made, "test")]
    wanted = tokenizer(said)["input_ids"]
    assert all(ids[0] == start for ids in wanted)
    assert list(prepared.splits.report["labels"]) == [ids[1:] for ids in wanted]
    batch = prepared.task.collator(prepared.processor)([prepared.splits.report[row] for row in range(8)])  # type: ignore[misc]
    assert batch["input_features"].shape == (8, 16, 100)
    assert (batch["labels"] == IGNORED).any() and int((batch["labels"] != IGNORED).sum()) == prepared.task.terms(batch)
    inputs = prepared.task.inputs(batch, prepared.teacher)
    with torch.no_grad():
        given, derived = (prepared.teacher(**found, use_cache=False).logits for found in (inputs, batch))
    counted = batch["labels"] != IGNORED
    torch.testing.assert_close(given[counted], derived[counted])
    numbers = prepared.task.numbers(prepared.splits.report.select(range(8)), prepared.processor)
    assert torch.tensor(list(numbers["decoder_input_ids"])).equal(inputs["decoder_input_ids"])


@pytest.mark.skipif(not available("openvino_bits"), reason="no host exports to OpenVINO")
@pytest.mark.parametrize(
    ("formats", "schemes"),
    [
        pytest.param(["openvino"], ["openvino_int8"], marks=pytest.mark.quick_on("latest")),
        pytest.param(["onnx"], ["onnx_dynamic"], marks=pytest.mark.quick_on("inc")),
        pytest.param(["openvino", "onnx"], SCHEMES, marks=pytest.mark.slow),
    ],
    ids=["openvino", "onnx", "all"],
)
def test_exports_and_fewer_bits_keep_the_metric(
    formats: list[str], schemes: list[str], made: dict[str, Any], tmp_path: Path
) -> None:
    steps = {"steps": ["export", "quantization"], "export": {"formats": formats}, "quantization": {"schemes": schemes}}
    result = compress(config_of(made, tmp_path, scheduler="direct", scheduler_config={}, **steps))
    rows = [row for row in result.results.rows if row.role == "student"]
    assert len(rows) == 1 + len(formats) + len(schemes)
    assert rows[0].metric is not None and rows[0].metric > 0.8
    for row in rows:
        assert row.metric == pytest.approx(rows[0].metric, abs=1e-5 if "fp32" in row.runtime else 0.02), row.runtime
    for folder in (tmp_path / "out").glob("student-*"):
        processor = AutoProcessor.from_pretrained(folder)
        assert processor.tokenizer("low").input_ids and processor.feature_extractor.sampling_rate == 16_000


@pytest.mark.quick_on("inc")
def test_a_stage_that_was_killed_goes_on_from_its_checkpoint(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {**made["training"], "max_steps": 6, "save_strategy": "steps", "save_steps": 2}
    config = config_of(made, tmp_path, training=training)
    killed_at(monkeypatch, DependableTraining, "training_step", config, time=9)
    assert [found.step for found in checkpoints_in(tmp_path / "out" / "checkpoints" / "sandwich", sealed=True)]
    compress(config, resume=True)
    compress(validate(CompressionConfig, {**config.model_dump(by_alias=True), "output_dir": str(tmp_path / "whole")}))
    assert not difference(outcome(tmp_path / "whole"), outcome(tmp_path / "out"))


@pytest.mark.quick_on("latest")
def test_plan_and_a_second_look(made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = {**made["training"], "max_steps": 2}
    data = {**made, "output_dir": str(tmp_path / "out"), "scheduler": "direct", "scheduler_config": {}}
    file = write_config(tmp_path, {**data, "training": training, "protocol": "published"})
    assert main(["plan", str(file)]) == 0
    assert "24 sounds of 16 x 100 values of a spectrogram" in " ".join(capsys.readouterr().out.split())
    assert main(["run", str(file)]) == 0
    resolved = tmp_path / "out" / RESOLVED_CONFIG
    assert main(["run", str(resolved), "--resume"]) == 0
    assert main(["run", str(file), "--resume", "--set", "generation.metrics=[]"]) == 2
    assert "generation.metrics" in capsys.readouterr().err


@pytest.mark.quick_on("latest")
def test_another_processor_is_another_run(made: dict[str, Any], tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(made["model"], teacher)
    training = {**made["training"], "max_steps": 1}
    changes = {"model": str(teacher), "training": training, "scheduler": "direct", "scheduler_config": {}}
    compress(config_of(made, tmp_path, **changes))
    processor = AutoProcessor.from_pretrained(teacher)
    processor.tokenizer.model_max_length = 7
    processor.save_pretrained(teacher)
    with pytest.raises(RunDirectoryError, match="another processor"):
        compress(config_of(made, tmp_path, **changes), resume=True)


def _without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)


def _listener(folder: Path) -> None:
    shutil.rmtree(folder)
    for part in make_listener():
        part.save_pretrained(folder)


def _without_extractor(folder: Path) -> None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / name).unlink(missing_ok=True)


def _short(folder: Path) -> None:
    model, processor = make_writer(max_target_positions=6)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "changes", "said"),
    [
        (_without_tokenizer, {}, "^tokenizer: .*teacher'"),
        (_without_extractor, {}, "^tokenizer: .*teacher' has no feature extractor"),
        (_listener, {}, "^task: 'automatic-speech-recognition' does not fit the model, .*audio-classification"),
        (_short, {"max_length": 64}, "^max_length: 64 lets through examples of up to [0-9]+ tokens, .* 6 positions"),
        (None, {"metric": "wer"}, "^metric: wer compares texts that a model writes"),
        (None, {"generation": {"metrics": ["accuracy"]}}, "^generation.metrics: accuracy compares no texts"),
        (None, {"generation": {"max_new_tokens": 40}}, "^generation.max_new_tokens: 40, .* 40 positions, 4 of them"),
        (None, {"distillation": {"augment": 1}}, "^distillation.augment: .*reads none"),
        (None, {"engine": {"padding": "max_length"}}, "^engine.padding: .*sounds"),
        (None, {"trainer": "inc"}, "^trainer"),
    ],
)
def test_what_cannot_be_is_refused_before_training(
    change: Callable[[Path], None] | None, changes: dict[str, Any], said: str, made: dict[str, Any], tmp_path: Path
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(made["model"], teacher)
    if change is not None:
        change(teacher)
    with pytest.raises((MinidiscError, ValueError), match=said):
        prepare(config_of(made, tmp_path, **{"model": str(teacher), **changes}), tmp_path)


@pytest.mark.quick_on("inc")
def test_texts_are_not_written_where_nobody_asks(made: dict[str, Any], tmp_path: Path) -> None:
    training = {**made["training"], "max_steps": 1}
    changes = {"scheduler": "direct", "scheduler_config": {}, "training": training, "generation": {"metrics": []}}
    result = compress(config_of(made, tmp_path, **changes))
    assert all(not row.texts for row in result.results.rows)


def test_a_model_of_many_languages_that_is_told_none_says_so(
    made: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(made["model"], teacher)
    file = teacher / "generation_config.json"
    tokens = AutoProcessor.from_pretrained(teacher).tokenizer
    ids = {name: tokens.convert_tokens_to_ids(f"<|{name}|>") for name in SPECIAL}
    told = json.loads(file.read_text(encoding="utf-8")) | {
        "is_multilingual": True,
        "lang_to_id": {"<|en|>": ids["en"]},
        "task_to_id": {name: ids[name] for name in ("transcribe", "translate")},
        "no_timestamps_token_id": ids["notimestamps"],
    }
    told.pop("_from_model_config")  # else transformers leaves out what is none of its own
    file.write_text(json.dumps(told), encoding="utf-8")
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare(config_of(made, tmp_path, model=str(teacher)), tmp_path)
    assert "knows many languages and is told none: targets begin without one" in caplog.text
    caplog.clear()
    processor = AutoProcessor.from_pretrained(teacher)
    processor.tokenizer.set_prefix_tokens(language="en", task="transcribe")
    processor.save_pretrained(teacher)
    file.write_text(json.dumps(told | {"language": "en", "task": "transcribe"}), encoding="utf-8")
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare(config_of(made, tmp_path, model=str(teacher)), tmp_path)
    assert "languages" not in caplog.text


@pytest.mark.skipif(available("openvino_bits", "transformers"), reason="transformers itself calibrates on our data")
def test_a_scheme_that_needs_data_of_the_hub_is_refused(made: dict[str, Any], tmp_path: Path) -> None:
    from minidisc_plugin.run.steps.quantization import Quantization

    config = config_of(made, tmp_path, steps=["quantization"], quantization={"schemes": ["openvino_static"]})
    with pytest.raises(MinidiscError, match=r"^quantization\.schemes: 'openvino_static' cannot be done"):
        Quantization().check_run(prepare(config, tmp_path))


def test_empty_targets_alone_are_refused_and_some_are_not(made: dict[str, Any], tmp_path: Path) -> None:
    talks = tmp_path / "talks"
    shutil.copytree(made["dataset"]["data_dir"], talks)
    data = {**made["dataset"], "data_dir": str(talks)}
    file = talks / "test" / "metadata.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*lines[:-1], lines[-1].split(",")[0] + ","]) + "\n", encoding="utf-8")
    with pytest.raises(MinidiscError, match=r"^dataset\.label: row 39 .* has no text \(null\)"):
        prepare(config_of(made, tmp_path, dataset=data), tmp_path)


def _settings(**changes: Any) -> Callable[[Path], None]:
    """Changes generation_config.json of a folder."""

    def change(folder: Path) -> None:
        file = folder / "generation_config.json"
        said = json.loads(file.read_text(encoding="utf-8")) | changes
        said.pop("_from_model_config", None)
        file.write_text(json.dumps(said), encoding="utf-8")

    return change


def of_a_copy(made: dict[str, Any], folder: Path, change: Callable[[Path], None], **changes: Any) -> CompressionConfig:
    """The config of a short run with a changed copy of the teacher."""
    shutil.copytree(made["model"], folder / "teacher", dirs_exist_ok=True)
    change(folder / "teacher")
    training = {**made["training"], "max_steps": 1}
    usual = {"scheduler": "direct", "scheduler_config": {}, "training": training}
    return config_of(made, folder, **{"model": str(folder / "teacher"), **usual, **changes})


@pytest.mark.quick_on("latest")
def test_a_student_gives_no_times_of_words_by_heads_that_it_lacks(
    made: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change = _settings(alignment_heads=[[0, 1], [1, 3]], return_dict_in_generate=True, output_scores=True)
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        result = compress(of_a_copy(made, tmp_path, change, generation={"num_beams": 2}))
    assert "students give no times of words" in caplog.text
    written, kept = (
        json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        for folder in (tmp_path / "out" / "student", tmp_path / "teacher")
    )
    assert "alignment_heads" not in written and "alignment_heads" in kept
    assert all(set(row.texts) == {"wer"} for row in result.results.rows)


@pytest.mark.quick_on("inc")
def test_how_a_teacher_writes_is_part_of_a_run(made: dict[str, Any], tmp_path: Path) -> None:
    compress(of_a_copy(made, tmp_path, _settings(max_length=20)))
    compress(of_a_copy(made, tmp_path, _settings(max_length=20)), resume=True)
    with pytest.raises(RunDirectoryError, match=r"another generation_config\.json of the model"):
        compress(of_a_copy(made, tmp_path, _settings(suppress_tokens=[5, 6])), resume=True)


@pytest.mark.quick_on("inc")
def test_targets_that_are_cut_are_told(made: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare(config_of(made, tmp_path), tmp_path)
    assert "are cut" not in caplog.text
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        prepare(config_of(made, tmp_path, max_length=4), tmp_path)
    assert "max_length: " in caplog.text and "of 40 targets have more than 4 tokens, and are cut" in caplog.text
    with pytest.raises(MinidiscError, match=r"^max_length: 3 leaves no word of any target"):
        prepare(config_of(made, tmp_path, max_length=3), tmp_path)


@pytest.mark.quick_on("inc")
def test_settings_that_break_writing_are_told_with_a_remedy(made: dict[str, Any], tmp_path: Path) -> None:
    change = _settings(is_multilingual=True, lang_to_id={}, task_to_id={}, language="xx")
    with pytest.raises(MinidiscError, match=r"^generation: the teacher cannot .* set generation\.metrics: \[\]"):
        compress(of_a_copy(made, tmp_path, change))


@pytest.mark.quick_on("latest")
def test_layers_are_not_dropped_where_hidden_states_are_compared(made: dict[str, Any], tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        said = json.loads(file.read_text(encoding="utf-8")) | {"encoder_layerdrop": 0.9, "decoder_layerdrop": 0.9}
        file.write_text(json.dumps(said), encoding="utf-8")

    training = {**made["training"], "max_steps": 4}
    compress(of_a_copy(made, tmp_path, change, engine={"dropout": True}, training=training))
