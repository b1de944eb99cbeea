"""Texts that models of text2text-generation write for the report: metrics of them, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.contracts.records import read_results
from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.run.directory.record import RunRecord, deciding_settings
from minidisc_plugin.run.preparation import prepare
from tests.tasks.making import make_task_run


def texts_by_hand(folder: Path, sources: list[str], beams: int) -> list[str]:
    """Written one by one, without padding and without kept keys and values."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for source in sources:
        inputs = tokenizer(source, return_tensors="pt")
        names = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            ids = model.generate(**names, max_new_tokens=12, num_beams=beams, do_sample=False, use_cache=False)
        found.append(tokenizer.decode(ids[0], skip_special_tokens=True).strip())
    return found


@pytest.mark.parametrize(("kind", "beams"), [("t5", 1), ("bart", 2)])
def test_texts_are_judged_as_by_hand(kind: str, beams: int, tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "text2text-generation", kind, "bits_saved", 12)
    data["generation"] = {"metrics": ["rouge", "sacrebleu"], "max_new_tokens": 12, "num_beams": beams}
    result = compress(CompressionConfig.model_validate(data))
    out = Path(data["output_dir"])
    rows = [row for row in _rows(data, "test")]
    wanted = [row["target"] for row in rows]
    for role in ("teacher", "student"):
        row = result.results.row(role)
        assert row is not None and set(row.texts) == {"rouge1", "rouge2", "rougeL", "rougeLsum", "sacrebleu"}
        folder = Path(data["model"]) if role == "teacher" else out / "student"
        found = texts_by_hand(folder, [row["source"] for row in rows], beams)
        scorer = RougeScorer(["rouge1", "rougeL"])
        scores = [scorer.score(target, text) for target, text in zip(wanted, found, strict=True)]
        for name in ("rouge1", "rougeL"):
            assert row.texts[name] == pytest.approx(sum(one[name].fmeasure for one in scores) / len(scores))
        assert row.texts["sacrebleu"] == pytest.approx(BLEU().corpus_score(found, [wanted]).score)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "rougeL" in card and "sacrebleu" in card
    assert read_results(out) == result.results
    student = result.results.row("student")
    assert student is not None and student.texts["rouge1"] > 0.2  # one word in ten by chance


def _rows(data: dict[str, Any], split: str) -> list[dict[str, Any]]:
    from datasets import load_dataset

    settings = data["dataset"]
    return list(load_dataset(settings["path"], data_files=settings["data_files"], split=split))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generation": {"metrics": ["accuracy"]}}, "generation.metrics: accuracy compares no texts"),
        ({"generation": {"metrics": ["squad"]}}, "generation.metrics: squad compares no texts"),
        ({"generation": {"metrics": ["bertscore"]}}, "metric 'bertscore' is not one of those shipped"),
        ({"generation": {"num_beams": 2}}, "generation.num_beams: does nothing without generation.metrics"),
        ({"generation": {"metrics": ["rouge"], "max_new_tokens": 64}}, "generation.max_new_tokens: 64, and the model"),
        ({"generation": {"metrics": ["rouge"], "max_new_tokens": 0}}, "max_new_tokens"),
        ({"metric": "rouge"}, "metric: rouge compares texts that a model writes.*list it in generation.metrics"),
        ({"metric": "sacrebleu"}, "metric: sacrebleu compares texts that a model writes"),
    ],
)
def test_what_cannot_be_is_refused_before_training(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "text2text-generation", "bart", "bits_saved", 1) | changes
    with pytest.raises((MinidiscError, ValueError), match=said):
        prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")


def test_targets_that_are_cut_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make_task_run(tmp_path, "text2text-generation", "bart", "bits_saved", 1)
    for length, said in ((None, False), (3, True)):
        caplog.clear()
        changed = data if length is None else {**data, "max_length": length}
        with caplog.at_level(logging.WARNING, "minidisc_plugin"):
            prepare(CompressionConfig.model_validate(changed), tmp_path / "checkpoints")
        assert ("targets have more than 3 tokens, and are cut" in caplog.text) is said


def test_a_student_ends_its_texts_where_its_teacher_does(tmp_path: Path) -> None:
    """The tokenizer tells no end of a text, which Trainer of transformers 4 takes from configs of what it trains."""
    data = make_task_run(tmp_path, "text2text-generation", "t5", "bits_saved", 1)
    data["training"]["max_steps"] = 1
    for name in ("generation_config.json", "config.json"):
        file = Path(data["model"]) / name
        file.write_text(
            json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"eos_token_id": 3}), encoding="utf-8"
        )
    assert AutoTokenizer.from_pretrained(data["model"]).eos_token_id is None
    compress(CompressionConfig.model_validate(data))
    for name in ("generation_config.json", "config.json"):
        for folder in (tmp_path / "out" / "student", tmp_path / "out" / "assistant"):
            assert json.loads((folder / name).read_text(encoding="utf-8"))["eos_token_id"] == 3, (folder.name, name)


def test_models_that_write_no_texts_are_refused_them(run_files: Path, tmp_path: Path) -> None:
    from minidisc_plugin.run.config.file import read_config

    config = read_config(run_files / "compression.yaml")
    for changes, said in (
        (
            {"generation": {"metrics": ["rouge"]}},
            "generation.metrics: they compare texts that models write",
        ),
        ({"metric": {"name": "rouge"}}, "metric: rouge compares texts.*name another, such as accuracy"),
    ):
        data = config.model_dump(mode="json", by_alias=True, exclude_unset=True) | changes
        with pytest.raises(ConfigError, match=said):
            prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")


def test_generation_settings_that_break_writing_are_told_before_training(tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "text2text-generation", "t5", "bits_saved", 1)
    data["generation"] = {"metrics": ["rouge"]}
    file = Path(data["model"]) / "generation_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) | {"decoder_start_token_id": 100_000}
    file.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"generation: the teacher cannot write a text: .*generation_config\.json"):
        prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")


def test_without_metrics_nothing_is_written_and_an_older_run_goes_on(tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "text2text-generation", "t5", "bits_saved", 1)
    settings = deciding_settings(CompressionConfig.model_validate(data))
    told = {name: value for name, value in settings.items() if name.startswith("generation.")}
    now = RunRecord(settings=settings, inputs={}, versions={})
    untold = {name: value for name, value in settings.items() if name not in told}
    before = RunRecord(settings=untold, inputs={}, versions={})
    assert told and now.differences(before) == now.differences(now)
