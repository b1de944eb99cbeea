"""Which split does what: never the same for training and for judging, and files that say otherwise are named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.shared_files import warn_of_shared_files
from minidisc_plugin.run.data.splits import Chosen, choose_splits


def choose(names: list[str], patience: int | None = None, **keys: Any) -> tuple[str, str | None, str]:
    settings = DatasetConfig.model_validate({"path": "csv", "text": ["text"], **keys})
    return choose_splits(settings, names, patience)[:3]


@pytest.mark.parametrize(
    ("names", "keys", "expected"),
    [
        (["train", "validation", "test"], {}, ("train", "validation", "test")),
        (["train", "test"], {}, ("train", None, "test")),
        (["train", "validation"], {}, ("train", None, "validation")),
        (["train", "holdout"], {"test_split": "holdout"}, ("train", None, "holdout")),
        (["train", "validation", "test"], {"test_split": "validation"}, ("train", None, "validation")),
        (["train", "dev", "test"], {"validation_split": "dev"}, ("train", "dev", "test")),
        (["train", "dev"], {"validation_split": "dev"}, ("train", None, "dev")),
        (["test", "validation"], {"train_split": "test"}, ("test", None, "validation")),
        (["validation", "test"], {"train_split": "validation"}, ("validation", None, "test")),
    ],
)
def test_what_each_split_does(names: list[str], keys: dict[str, str], expected: tuple[str, ...]) -> None:
    assert choose(names, **keys) == expected


@pytest.mark.parametrize(
    ("names", "keys", "message"),
    [
        (["train", "test"], {"test_split": "train"}, "dataset.test_split: 'train' is the split that is trained on"),
        (["train", "test"], {"validation_split": "train"}, "dataset.validation_split: 'train' is the split that"),
        (["a", "b"], {"train_split": "a", "test_split": "a"}, "dataset.test_split: 'a' is the split that"),
        (["train"], {}, "neither a test nor a validation split"),
        (["test"], {"train_split": "test"}, "neither a test nor a validation split"),
        (["train", "test"], {"test_split": "tset"}, "dataset.test_split: 'tset' is not a split; splits: train, test"),
        (["train", "test"], {"patience": 1}, "early_stopping_patience"),
        (["train", "dev", "test"], {"patience": 1, "validation_split": "dev", "test_split": "dev"}, "early_stopping"),
    ],
)
def test_what_no_split_may_do(names: list[str], keys: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose(names, **keys)


@pytest.mark.parametrize("kind", ["the same", "a link", "a hard link", "a copy", "another"])
def test_a_file_of_two_splits_is_named(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train, test, alone = (tmp_path / name for name in ("train.csv", "test.csv", "alone.csv"))
    train.write_text("text,label\na,1\n")
    alone.write_text("text,label\nc,1\nd,0\n")
    if kind == "the same":
        test = train
    elif kind == "a link":
        test.symlink_to(train)
    elif kind == "a hard link":
        test.hardlink_to(train)
    elif kind == "a copy":
        shutil.copy(train, test)
    else:
        test.write_text("text,label\nb,1\n")
    files = {"train": [str(alone), str(train)], "dev": [str(tmp_path / "gone.csv")], "test": [str(test)]}
    warn_of_shared_files(Chosen("train", "dev", "test"), files)
    assert len(caplog.messages) == (kind != "another")
    for message in caplog.messages:
        assert str(train) in message and str(test) in message and "'train'" in message and "'test'" in message


@pytest.mark.parametrize("kind", ["a hard link", "a copy", "another"])
def test_a_file_and_its_copy_in_one_split_are_named(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, test = (tmp_path / name for name in ("a.csv", "b.csv", "test.csv"))
    first.write_text("text,label\na,1\n")
    test.write_text("text,label\nt,1\n")
    if kind == "a hard link":
        second.hardlink_to(first)
    else:
        second.write_text("text,label\na,1\n" if kind == "a copy" else "text,label\nb,1\n")
    warn_of_shared_files(Chosen("train", None, "test"), {"train": [str(first), str(second)], "test": [str(test)]})
    assert len(caplog.messages) == (kind != "another")
    for message in caplog.messages:
        assert str(first) in message and str(second) in message and "'train'" in message and "counts twice" in message
