"""Data sets of `save_to_disk`: what `load_from_disk` reads, and nothing that was left beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, load_from_disk

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.reading import read_dataset
from tests.run.data.test_reading import section


def rows(count: int) -> Dataset:
    return Dataset.from_dict(
        {"text": [f"word{row}" for row in range(count)], "label": [row % 2 for row in range(count)]}
    )


def saved(folder: Path, train: int = 6, shards: int = 1) -> Path:
    made = DatasetDict(train=rows(train), test=rows(4))
    made.save_to_disk(folder, num_shards={"train": shards, "test": 1})
    return folder


def lengths(path: Path, **keys: str) -> dict[str, int]:
    return {split: len(part) for split, part in read_dataset(section(str(path), **keys))[0].items()}


@pytest.mark.parametrize("kind", ["map", "filter", "fewer shards"])
def test_only_what_was_saved_is_read(kind: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved", shards=3)
    before = set(folder.rglob("*.arrow"))
    loaded = load_from_disk(folder)
    if kind == "map":
        loaded.map(lambda row: {"text": row["text"].upper()})
    elif kind == "filter":
        loaded.filter(lambda row: row["label"] == 1)
    else:
        saved(folder)
    assert set(folder.rglob("*.arrow")) != before
    assert lengths(folder) == {"train": 6, "test": 4}
    with pytest.raises(DataError, match=r"dataset.data_files: .*state.json.*; set dataset.path to the folder"):
        files = {split: f"{folder}/{split}/*.arrow" for split in ("train", "test")}
        read_dataset(section("arrow", files))


def test_ways_to_name_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path / "more" / "sa[1]ved")
    load_from_disk(folder).map(lambda row: {"more": row["text"]})
    monkeypatch.chdir(folder)
    assert lengths(Path()) == {"train": 6, "test": 4}
    assert lengths(Path("arrow"), data_dir=str(folder)) == {"train": 6, "test": 4}
    assert lengths(folder.parent, data_dir=folder.name) == {"train": 6, "test": 4}
    assert lengths(folder / "train") == {"train": 6}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dataset_dict.json", "{", "is no JSON"),
        ("train/state.json", "{}", "has no state.json that lists its files"),
        ("train/data-00000-of-00001.arrow", None, "is listed in state.json and is missing"),
    ],
)
def test_a_folder_that_is_not_whole(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "saved")
    (folder / name).unlink() if content is None else (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=f"^dataset.path: .*{message}.*save the data set again$"):
        read_dataset(section(str(folder)))
