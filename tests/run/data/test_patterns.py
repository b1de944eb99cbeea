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
