"""Examples that are longer than the model has positions for are refused before anything is trained."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from minidisc_plugin import CompressionConfig
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import OTHER, VOCABULARY, make_bert, make_config, make_rows, make_tokenizer, write_csv
from tests.tasks.making import make_task_run

_SHAPE: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
}


def with_long(folder: Path, words: int, split: str = "test") -> dict[str, str]:
    """Files of short texts, and one long one at the end of a split."""
    found = {}
    for name, count, seed in (("train", 40, 1), ("validation", 12, 2), ("test", 12, 3)):
        rows = make_rows(count, seed)
        if name == split:
            rows.append({"sentence": " ".join(random.Random(0).choices(OTHER, k=words)), "label": 1})
        write_csv(folder / f"{name}.csv", rows)
        found[name] = str(folder / f"{name}.csv")
    return found


def prepared(folder: Path, model: PreTrainedModel, words: int, split: str = "test", **changes: Any) -> Prepared:
    """A run on a model that has learned nothing, over one text of that many words and two signs."""
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder / "teacher")
    make_tokenizer(folder / "teacher")
    data = make_config(folder, trainer="transformers", **changes)
    data["dataset"]["data_files"] = with_long(folder, words, split)
    return prepare(CompressionConfig.model_validate(data), folder / "checkpoints")


MODELS = {
    "roberta": lambda **shape: RobertaForSequenceClassification(RobertaConfig(type_vocab_size=2, **shape)),
    "xlm-roberta": lambda **shape: XLMRobertaForSequenceClassification(XLMRobertaConfig(type_vocab_size=2, **shape)),
    "mpnet": lambda **shape: MPNetForSequenceClassification(MPNetConfig(**shape)),
}


@pytest.mark.parametrize("kind", MODELS)
def test_positions_that_begin_behind_the_padding_are_fewer(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind](**_SHAPE)
    padding = next(m.padding_idx for name, m in model.named_modules() if name.endswith(".position_embeddings"))
    limit = 24 - padding - 1
    with pytest.raises(ConfigError) as caught:
        prepared(tmp_path / "refused", model, words=22, max_length=24)
    assert f"examples of up to 24 tokens, and the model has {limit} positions; set max_length: {limit}" in str(
        caught.value
    )
    # What is advised works, and no less is needed.
    run = prepared(tmp_path / "advised", model, words=22, max_length=limit)
    teacher = AutoModelForSequenceClassification.from_pretrained(tmp_path / "advised" / "teacher")
    longest = torch.tensor([run.splits.report[-1]["input_ids"]])
    assert longest.shape[1] == limit
    teacher(longest, torch.ones_like(longest))
    with pytest.raises((IndexError, RuntimeError)):
        teacher(torch.cat([longest, longest[:, -1:]], dim=1), torch.ones(1, limit + 1, dtype=torch.long))


@pytest.fixture
def nothing_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a model whose positions are kept where nobody looks."""
    monkeypatch.setattr("minidisc_plugin.run.checks.examples.positions", lambda teacher: 0)


@pytest.mark.usefixtures("nothing_tells")
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_longest_example_of_all_splits_is_computed(split: str, tmp_path: Path) -> None:
    model = make_bert()
    with pytest.raises(ConfigError, match=r"longest example of the data, of 33 tokens: .*; set a max_length below 40"):
        prepared(tmp_path / "refused", model, words=31, split=split, max_length=40)
    prepared(tmp_path / "computed", model, words=30, split=split, max_length=40)


@pytest.mark.usefixtures("nothing_tells")
def test_it_is_padded_as_the_run_pads(tmp_path: Path) -> None:
    padded = {"padding": "max_length"}
    with pytest.raises(ConfigError, match=r"cannot compute the first examples of the data: "):
        prepared(tmp_path / "refused", make_bert(), words=9, max_length=33, engine=padded)
    prepared(tmp_path / "computed", make_bert(), words=9, max_length=32, engine=padded)


@pytest.mark.usefixtures("nothing_tells")
@pytest.mark.parametrize("side", ["source", "target"])
def test_inputs_and_targets_of_an_encoder_decoder_are_computed(side: str, tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "text2text-generation", "bart", "bits_saved", epochs=0, max_length=96)
    row = {"source": OTHER[0], "target": OTHER[1], side: " ".join(OTHER[:35] * 2)}
    with Path(data["dataset"]["data_files"]["test"]).open("a", encoding="utf-8") as file:
        file.write(f"\n{json.dumps(row)}")
    with pytest.raises(ConfigError, match=r"longest example of the data, of 72 tokens: .*set a max_length below 96"):
        prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")


def test_a_model_without_a_table_of_positions_computes_any_length(tmp_path: Path) -> None:
    data = make_task_run(tmp_path, "text2text-generation", "t5", "bits_saved", epochs=0, max_length=96)
    row = {"source": " ".join(OTHER[:35] * 2), "target": " ".join(OTHER[:35] * 2)}
    with Path(data["dataset"]["data_files"]["train"]).open("a", encoding="utf-8") as file:
        file.write(f"\n{json.dumps(row)}")
    prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")
