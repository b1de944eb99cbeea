"""Tokenizers that pad on the left: refused where an answer would depend on the batch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForSequenceClassification

from minidisc_plugin import CompressionConfig, MinidiscError
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import VOCABULARY, make_config
from tests.tasks.making import make_task_run


def pad_on_the_left(teacher: Path) -> None:
    file = teacher / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "padding_side": "left"}))


def prepared(data: dict[str, Any], folder: Path) -> Any:
    return prepare(CompressionConfig.model_validate(data), folder / "checkpoints")


@pytest.mark.parametrize(
    ("task", "kind", "metric"),
    [("multiple-choice", "multiple-choice", "accuracy"), ("feature-extraction", "embeddings", "spearmanr")],
)
def test_answers_that_depend_on_their_batch_are_refused(task: str, kind: str, metric: str, tmp_path: Path) -> None:
    data = make_task_run(tmp_path, task, kind, metric, epochs=1)
    assert prepared(data, tmp_path)
    pad_on_the_left(tmp_path / "teacher")
    with pytest.raises(MinidiscError, match=r'^tokenizer: it pads on the left.* set "padding_side": "right"'):
        prepared(data, tmp_path)


@pytest.mark.parametrize("padding", ["longest", "max_length"])
def test_so_are_those_of_a_classifier(padding: str, run_files: Path, tmp_path: Path) -> None:
    shutil.copytree(run_files / "teacher", tmp_path / "teacher")
    pad_on_the_left(tmp_path / "teacher")
    data = make_config(run_files, model=str(tmp_path / "teacher"), engine={"padding": padding}, max_length=24)
    with pytest.raises(MinidiscError, match=r"^tokenizer: it pads on the left"):
        prepared(data, tmp_path)


def test_a_model_whose_places_are_relative_may_pad_on_the_left(run_files: Path, tmp_path: Path) -> None:
    shutil.copytree(run_files / "teacher", tmp_path / "teacher")
    (tmp_path / "teacher" / "config.json").unlink()
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = LlamaConfig(vocab_size=len(VOCABULARY), pad_token_id=0, num_labels=2, **shape)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path / "teacher")
    file = tmp_path / "teacher" / "tokenizer_config.json"
    told = {"model_input_names": ["input_ids", "attention_mask"]}
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **told}))
    pad_on_the_left(tmp_path / "teacher")
    assert prepared(make_config(run_files, model=str(tmp_path / "teacher")), tmp_path).processor.padding_side == "left"


def test_tasks_that_pad_on_the_right_themselves_do_not_ask(tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "token-classification", "token-classification", "seqeval", epochs=1)
    pad_on_the_left(tmp_path / "teacher")
    assert prepared(data, tmp_path).processor.padding_side == "left"
