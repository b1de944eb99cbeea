"""Names of data files: a file of that very name goes before a pattern, and a pattern matches something."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.reading import read_dataset
from tests.run.data.test_reading import read, section

MINE, OTHER = "text,label\nmine,1\n", "text,label\nanother,0\n"


@pytest.mark.parametrize(
    ("name", "alike"), [("tr[1].csv", "tr1.csv"), ("what?.csv", "whats.csv"), ("a*.csv", "ab.csv")]
)
def test_a_file_of_that_very_name_goes_before_a_pattern(name: str, alike: str, tmp_path: Path) -> None:
    (tmp_path / alike).write_text(OTHER, encoding="utf-8")
    assert read(tmp_path, {name: MINE})["train"]["text"] == ["mine"]


def test_a_relative_name_is_one_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "tr1.csv").write_text(OTHER, encoding="utf-8")
    (tmp_path / "tr[1].csv").write_text(MINE, encoding="utf-8")
    files = {"train": ["tr[1].csv"], "test": "tr[[]1].csv"}
    found = read_dataset(section("csv", files, data_dir=str(tmp_path)))[0]
    assert found["train"]["text"] == ["mine"] == found["test"]["text"]


def test_a_pattern_where_no_file_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "tr1.csv").write_text(MINE, encoding="utf-8")
    pattern = str(tmp_path / "tr[12].csv")
    assert read_dataset(section("csv", {"train": pattern, "test": pattern}))[0]["train"]["text"] == ["mine"]


@pytest.mark.parametrize("name", ["nothing*.csv", "no[12].csv", "x\x1b[31my.csv"])
def test_a_pattern_that_matches_nothing_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(MINE, encoding="utf-8")
    with pytest.raises(DataError, match=r"^dataset.data_files.test: '.*' matches no file; give") as caught:
        read_dataset(section("csv", {"train": str(tmp_path / "a.csv"), "test": str(tmp_path / name)}))
    assert "\x1b" not in str(caught.value)


def test_a_missing_file_is_named_whole(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_dataset(section("csv", {"train": str(tmp_path / "x\ny.csv"), "test": str(tmp_path / "x\ny.csv")}))
    assert "\n" not in str(caught.value) and "y.csv" in str(caught.value)


WAYS = ["path", "path and names", "data_dir", "data_dir and names", "path and data_dir", "pattern", "working directory"]


@pytest.mark.parametrize(
    ("name", "alike", "way"),
    [
        *(("data[1]", "data1", way) for way in WAYS),
        *(("da?ta", "daxta", way) for way in ("path", "pattern")),
        *(("d*", "data", way) for way in ("data_dir", "pattern")),
        ("d{a}", "da", "path"),
    ],
)
def test_a_folder_of_that_very_name_goes_before_a_pattern(
    name: str, alike: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, content in ((tmp_path / name, MINE), (tmp_path / alike, OTHER)):
        folder.mkdir()
        for split in ("train", "test"):
            (folder / f"{split}.csv").write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    files = {split: f"{split}.csv" for split in ("train", "test")}
    if way == "working directory":
        monkeypatch.chdir(name)
    settings = {
        "path": section(name),
        "path and names": section(name, files),
        "data_dir": section("csv", data_dir=name),
        "data_dir and names": section("csv", files, data_dir=name),
        "path and data_dir": section(str(tmp_path), data_dir=name),
        "pattern": section("csv", {split: f"{name}/{split[:2]}*.csv" for split in files}),
        "working directory": section("csv", {split: f"{split[:2]}*.csv" for split in files}),
    }[way]
    assert [read_dataset(settings)[0][split]["text"] for split in files] == [["mine"], ["mine"]]


def test_a_card_in_a_folder_that_is_taken_for_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "data[1]"
    folder.mkdir()
    for name, content in (("train.csv", MINE), ("test.csv", MINE), ("README.md", "Some data.\n")):
        (folder / name).write_text(content, encoding="utf-8")
    assert read_dataset(section(str(folder)))[0]["train"]["text"] == ["mine"]
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"^dataset.path: '.*data\[1\]' has one of the signs .*; rename the folder$"):
        read_dataset(section(str(folder)))


def test_files_outside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "test.csv").write_text(MINE, encoding="utf-8")
    (tmp_path / "train.csv").write_text(OTHER, encoding="utf-8")
    configs = "configs:\n- config_name: default\n  data_files:\n"
    configs += "  - {split: train, path: ../train.csv}\n  - {split: test, path: test.csv}\n"
    (folder / "README.md").write_text(f"---\n{configs}---\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"^dataset.path: .*train.csv would be read, which is not in .*data; name the"):
        read_dataset(section(str(folder)))


@pytest.mark.parametrize(
    "names",
    [["train.csv", "tr*n.csv"], ["train.csv", "./train.csv"], ["train.csv", "link.csv"], ["*n.csv", "t*.csv"]],
)
def test_a_file_stands_in_a_split_once(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(MINE, encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("train.csv")
    for files in ({"train": names, "test": "train.csv"}, names):
        key = r"dataset.data_files.train" if isinstance(files, dict) else "dataset.data_files"
        with pytest.raises(DataError, match=rf"^{key}: .*csv stands in split 'train' twice.*; give each file once$"):
            read_dataset(section("csv", files, data_dir=str(tmp_path)))


@pytest.mark.parametrize("path", [".", "./", "../data"])
def test_the_folder_of_the_data_is_the_working_directory(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(folder)
    assert read_dataset(section(path))[0]["train"]["text"] == ["mine"]
    assert read_dataset(section(path, {"train": "train.csv", "test": "t*t.csv"}))[0]["test"]["text"] == ["mine"]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.csv", "csv"), ("a.tsv", "csv"), ("a.jsonl.gz", "json"), ("a", "its format, such as csv")]
)
def test_a_file_in_place_of_a_folder(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(MINE, encoding="utf-8")
    with pytest.raises(
        DataError, match=rf"^dataset.path: '.*' is a file; set path to {kind}, and data_files to .*{name}"
    ):
        read_dataset(section(str(tmp_path / name)))
