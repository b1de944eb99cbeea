"""Checksums: the same for the same content wherever it lies, another for any change of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset

from minidisc_plugin.foundation.digests import digest_of_dataset, digest_of_model, digest_of_tokenizer, sha256_of
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
    before = digest_of_tokenizer(tokenizer)
    tokenizer(["good bad", "good"], truncation=True, max_length=3, padding=True)
    assert digest_of_tokenizer(tokenizer) == before
    tokenizer.add_tokens(["another"])
    assert digest_of_tokenizer(tokenizer) != before
