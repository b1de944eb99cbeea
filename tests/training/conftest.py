"""Data and a place to train on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from tests.builders.tiny import make_tokenizer
from tests.training.making import Bench, make_dataset


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def dataset(tokenizer: PreTrainedTokenizerFast) -> Dataset:
    """48 tokenised sentences of different lengths, with labels."""
    return make_dataset(tokenizer)


@pytest.fixture
def bench(tmp_path: Path, dataset: Dataset, tokenizer: PreTrainedTokenizerFast) -> Bench:
    return Bench(tmp_path / "checkpoints", dataset, tokenizer)
