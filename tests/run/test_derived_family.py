"""A teacher of an architecture that nobody declared goes through a run, which says so; or is refused before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BloomConfig, BloomForSequenceClassification, RemBertConfig, RemBertForSequenceClassification

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.nested.checkpoint import NarrowCheckpoint
from minidisc_plugin.run.pipeline import Result, compress
from tests.builders.tiny import VOCABULARY, make_config

SAID = "'rembert' is declared by nobody: it was derived from the model's structure, and verified."


def files_of(run_files: Path, folder: Path, model: Any) -> Path:
    """The files of a run, with another teacher."""
    shutil.copytree(run_files, folder)
    for name in ("model.safetensors", "config.json"):
        (folder / "teacher" / name).unlink()
    model.save_pretrained(folder / "teacher")
    return folder


@pytest.fixture(scope="module")
def files(run_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = RemBertConfig(
        vocab_size=len(VOCABULARY),
        input_embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=2,
        pad_token_id=0,
    )
    return files_of(run_files, tmp_path_factory.mktemp("derived") / "files", RemBertForSequenceClassification(config))


@pytest.fixture(scope="module")
def finished(files: Path) -> Result:
    return compress(CompressionConfig.model_validate(make_config(files)))


def test_a_run_makes_a_student_and_says_whose_family_it_is(
    finished: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finished.results.derived_family == "rembert"
    assert isinstance(finished.student, NarrowCheckpoint)
    assert finished.student.family.derived
    assert finished.assistant is not None
    card = " ".join((finished.output_dir / "README.md").read_text(encoding="utf-8").split())
    assert SAID in card
    main(["report", str(finished.output_dir)])
    assert SAID in " ".join(capsys.readouterr().out.split())


def test_a_finished_run_is_resumed_as_others_are(finished: Result, files: Path) -> None:
    before = (finished.output_dir / "results.json").read_bytes()
    assert compress(CompressionConfig.model_validate(make_config(files)), resume=True).results.derived_family
    assert (finished.output_dir / "results.json").read_bytes() == before


def test_its_student_is_a_teacher_in_turn(finished: Result, files: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (finished.output_dir / "student" / name).exists()
    data = make_config(files, model=str(finished.output_dir / "student"), output_dir=str(tmp_path / "out"))
    smaller = compress(CompressionConfig.model_validate(data | {"scheduler": "direct", "scheduler_config": {}}))
    assert smaller.results.derived_family == "rembert"
    row, teacher = smaller.results.row("student"), smaller.results.row("teacher")
    assert row is not None
    assert teacher is not None
    assert row.parameters is not None
    assert teacher.parameters is not None
    assert row.parameters < teacher.parameters


def test_the_plan_says_so_too(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "compression.json"
    config.write_text(json.dumps(make_config(files, output_dir=str(tmp_path / "out"))), encoding="utf-8")
    assert main(["plan", str(config), "--no-calibration"]) == 0
    assert SAID in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_derived_is_refused_before_a_run(run_files: Path, tmp_path: Path) -> None:
    config = BloomConfig(vocab_size=len(VOCABULARY), hidden_size=32, n_layer=2, n_head=4, num_labels=2, pad_token_id=0)
    files = files_of(run_files, tmp_path / "files", BloomForSequenceClassification(config))
    with pytest.raises(UnsupportedModelError, match=r"BloomForSequenceClassification .* h\.0\.self_attention\.dense"):
        compress(CompressionConfig.model_validate(make_config(files)))
    assert not (files / "out").exists()
