"""Checksums: the same for the same content wherever it lies, another for any change of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from minidisc_plugin.foundation.digests import digest_of_dataset, digest_of_model, digest_of_processor, sha256_of
from minidisc_plugin.foundation.model_files.processor_saving import remember_state
from tests.builders.tiny import make_bert, make_tokenizer

ROWS = {"input_ids": [[1, 2, 3], [4], [5, 6]], "labels": [0, 1, 0]}


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert sha256_of(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_model_is_known_by_weights_and_config() -> None:
    model = make_bert()
    before = digest_of_model(model)
    model.config._name_or_path = "elsewhere"
    assert digest_of_model(model) == before == digest_of_model(make_bert())
    with torch.no_grad():
        model.classifier.bias[0] += 1e-6
    changed = digest_of_model(model)
    model.config.id2label = {0: "b", 1: "a"}
    assert len({before, changed, digest_of_model(model), digest_of_model(make_bert().half())}) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"input_ids": [[1, 2, 3], [4], [5, 7]], "labels": [0, 1, 0]},
        {"input_ids": [[1, 2], [3, 4], [5, 6]], "labels": [0, 1, 0]},
        {"input_ids": [[1, 2, 3], [4], [5, 6]], "labels": [0, 1, 1]},
        {"input_ids": [[4], [1, 2, 3], [5, 6]], "labels": [1, 0, 0]},
        {"token_ids": [[1, 2, 3], [4], [5, 6]], "labels": [0, 1, 0]},
    ],
)
def test_a_dataset_is_known_by_its_rows(other: dict[str, list[object]]) -> None:
    assert digest_of_dataset(Dataset.from_dict(ROWS)) != digest_of_dataset(Dataset.from_dict(other))


def test_a_dataset_is_the_same_however_it_is_kept(tmp_path: Path) -> None:
    plain = Dataset.from_dict(ROWS)
    chosen = Dataset.from_dict({name: [*values, values[0]][::-1] for name, values in ROWS.items()}).select([3, 2, 1])
    plain.save_to_disk(tmp_path / "saved")
    digests = {digest_of_dataset(found) for found in (plain, chosen, Dataset.load_from_disk(tmp_path / "saved"))}
    assert len(digests) == 1


def test_a_tokenizer_is_known_by_its_vocabulary_and_not_by_its_last_call(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    before = digest_of_processor(tokenizer)
    tokenizer(["good bad", "good"], truncation=True, max_length=3, padding=True)
    assert digest_of_processor(tokenizer) == before
    tokenizer.add_tokens(["another"])
    assert digest_of_processor(tokenizer) != before


def setting(**settings: Any) -> Callable[[Path], None]:
    """Other keys in tokenizer_config.json."""

    def change(folder: Path) -> None:
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings), encoding="utf-8")

    return change


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content, encoding="utf-8") and None


def cutting(folder: Path) -> None:
    """A tokenizer.json that cuts by itself."""
    file = folder / "tokenizer.json"
    ways = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"truncation": ways}), encoding="utf-8")


def of_folder(folder: Path) -> str:
    return digest_of_processor(AutoTokenizer.from_pretrained(str(folder)))


@pytest.mark.parametrize(
    "change",
    [
        setting(truncation_side="left"),
        setting(padding_side="left"),
        setting(model_max_length=16),
        setting(clean_up_tokenization_spaces=True),
        setting(mask_token="[UNK]"),
        setting(chat_template="{{ messages }}"),
        setting(of_somebody="elses"),
        text("chat_template.jinja", "{{ messages }}"),
        cutting,
    ],
)
def test_a_tokenizer_is_known_by_all_that_is_saved_of_it(change: Callable[[Path], None], tmp_path: Path) -> None:
    make_tokenizer(tmp_path)
    before = of_folder(tmp_path)
    change(tmp_path)
    changed = AutoTokenizer.from_pretrained(str(tmp_path))
    remember_state(changed)
    assert digest_of_processor(changed) != before


def test_a_tokenizer_is_the_same_in_another_folder_and_process(tmp_path: Path) -> None:
    make_tokenizer(tmp_path / "here")
    before = of_folder(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert of_folder(tmp_path / "there") == before
    code = (
        "import sys; from pathlib import Path; from tests.foundation.test_digests import of_folder\n"
        "print(of_folder(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "there")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": "7"}
    assert subprocess.check_output(command, env=environment, text=True, timeout=120).split()[-1] == before
