"""JSON files as they stand: what looks like a date stays text, and what is wrong is named by file and row."""

from __future__ import annotations

import gzip
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.run.data.reading import read_dataset
from tests.run.data.test_reading import read, refused, section

DATES = ["2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01 10:00", "007", "1e5", "null", "True", "12:30"]


def lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize("form", ["lines", "list", "pretty", "columns", "columns by row", "field"])
def test_text_stays_text(form: str, tmp_path: Path) -> None:
    rows = [{"text": text, "label": text} for text in DATES]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    by_row = {key: dict(enumerate(column)) for key, column in columns.items()}
    content = {
        "lines": lines(rows),
        "list": json.dumps(rows),
        "pretty": json.dumps(rows, indent=2),
        "columns": json.dumps(columns, indent=2),
        "columns by row": json.dumps(by_row, indent=2),
        "field": json.dumps({"data": rows}),
    }[form]
    keys = {"options": {"field": "data"}} if form == "field" else {}
    assert read(tmp_path, {"a.json": content}, path="json", **keys)["train"].to_list() == rows


def test_dates_in_one_split_only(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"a.jsonl": lines([{"text": "a", "label": 1}]), "b.jsonl": lines([{"text": "2020-01-01", "label": 0}])},
        path="json",
    )
    assert found["test"].to_list() == [{"text": "2020-01-01", "label": 0}]


@pytest.mark.parametrize("packed", ["gz", "zip"])
def test_packed_files(packed: str, tmp_path: Path) -> None:
    content = lines([{"text": "2020-01-01", "label": 1}])
    file = tmp_path / f"my file%20.jsonl.{packed}"
    if packed == "gz":
        file.write_bytes(gzip.compress(content.encode()))
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.jsonl", content)
    assert read_dataset(section("json", {"train": str(file)}))[0]["train"].to_list() == [json.loads(content)]


def test_lists_that_are_empty_in_one_split_have_the_kind_of_the_other(tmp_path: Path) -> None:
    rows = [{"text": ["a"], "label": ["X"]}], [{"text": [], "label": []}]
    found = read(tmp_path, {"a.jsonl": lines(rows[0]), "b.jsonl": lines(rows[1])}, path="json")
    assert found["train"].features == found["test"].features and found["test"].to_list() == rows[1]


def test_a_column_that_nobody_asks_for_may_hold_anything(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "a", "label": 0, "note": 1}, {"text": "b", "label": 1.5, "note": "x"}]
    found = read(tmp_path, {"a.jsonl": lines(rows)}, path="json")["train"]
    assert found.column_names == ["text", "label"] and found["label"] == [0.0, 1.5]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('{"text": "a", "label": 1}\n{"text": "b", "la', ["line 2 of", "not JSON", "cut off"]),
        ('{"text": "a", "la', ["line 1 of", "not JSON"]),
        ('[{"text": "a"},\n {"text": ]', ["line 2 of", "not JSON"]),
        ('{"text": "a", "label": 1}\n{"text": "b", "label": 1, "label": 0}', ["line 2 of", "'label' twice"]),
        ('[{"text": "b", "text": "c"}]', ["'text' twice"]),
        ('{"text": "a", "label": 1}\n{"text": "\\ud800", "label": 1}', ["row 1 of", "\\ud800", "'text'"]),
        ('{"text": "a", "label": 1}\n{"text": "b", "label": "pos"}', ["row 1 of", "'pos'", "row 0 of", "has 1"]),
        ('{"text": "a", "label": [1]}\n{"text": "b", "label": ["X"]}', ["row 1 of", "['X']", "'label'"]),
        ('{"text": "a"}\n{"text": 5}', ["row 1 of", "has 5", "'text'"]),
        ('{"text": "a"}\n[1]', ["row 1", "is [1]", "no object"]),
        ("[]", ["has no rows"]),
        ("", ["has no rows"]),
        ('{\n"text": "a"\n}', ["no rows", "dataset.options.field"]),
    ],
)
def test_files_that_cannot_be_read(
    content: str, parts: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        message = refused(tmp_path, {"a.json": content}, path="json")
    assert not caplog.records
    for part in (str(tmp_path / "a.json"), *parts):
        assert part in message


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(lines([{"text": "a", "label": 1}] * 1000).encode())
    message = refused(tmp_path, {"a.jsonl.gz": packed[: len(packed) // 2]}, path="json")
    assert "a.jsonl.gz is damaged" in message


@pytest.mark.parametrize("content", ["{}", "{}\n{}\n", "[{}, {}]", '{"x": 1}\n{"x": "a"}\n'])
def test_objects_without_a_column(content: str, tmp_path: Path) -> None:
    message = refused(tmp_path, {"a.json": content}, path="json")
    assert message.startswith("dataset.data_files: ") and "a.json has no column that can be read" in message
    assert message.endswith("give objects with the keys text, label")
