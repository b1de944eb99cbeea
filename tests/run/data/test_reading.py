"""Datasets as they stand in their files: no word lost, no row lost, and every refusal in one line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import ConfigError, DataError, MinidiscError
from minidisc_plugin.run.data.reading import read_dataset
from minidisc_plugin.tasks.registry import TASKS
from tests.tasks.test_labels import model, nameless


def read(folder: Path, files: dict[str, str | bytes], path: str = "csv", **keys: Any) -> DatasetDict:
    """Read files written for the purpose; the first is train's, and test's where there is one only."""
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    train, test = [*files, *files][:2]
    return read_dataset(section(path, {"train": str(folder / train), "test": str(folder / test)}, **keys))[0]


def section(path: str, data_files: Any = None, **keys: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({"path": path, "data_files": data_files, "text": ["text"], **keys})


def refused(folder: Path, files: dict[str, str | bytes], error: type[MinidiscError] = DataError, **keys: Any) -> str:
    with pytest.raises(error) as caught:
        read(folder, files, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


HARD = ["null", "NA", "None", "nan", "", "N/A", "007", "1.0", "1e5", "2020-01-01", "True", "-", "#hash", " x ", "1,5"]
HARD += ['say "hi"', "two\nlines", "two\r\nlines", "tab\there", "a;b", "\\N", "日本", "'", '"', "=1+1", "inf", "00:01"]


def as_csv(rows: list[list[str]], **dialect: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue()


def test_text_stays_text(tmp_path: Path) -> None:
    rows = [[text, text] for text in HARD]
    found = read(tmp_path, {"a.csv": as_csv([["text", "label"], *rows])})["train"]
    assert found["text"] == HARD == found["label"]


def test_a_column_of_numbers_is_text_too(tmp_path: Path) -> None:
    numbers = ["007", "1.50", "2e3", "-0"]
    found = read(tmp_path, {"a.csv": as_csv([["text", "label"], *[[number, "1"] for number in numbers]])})
    checked = TASKS["text-classification"]().check(found["train"], "train", section("csv"), nameless(2))
    assert checked["text 0"] == numbers


@given(
    st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))] * 2), min_size=1)
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    content = as_csv([["text", "label"], *map(list, rows)], quoting=csv.QUOTE_ALL)
    found = read(tmp_path, {"a.csv": content})["train"]
    assert list(zip(found["text"], found["label"], strict=True)) == rows


def test_a_class_called_none(tmp_path: Path) -> None:
    found = read(tmp_path, {"a.csv": "text,label\na,None\nb,NA\n"})["train"]
    checked = TASKS["text-classification"]().check(found, "train", section("csv"), model("NA", "None"))
    assert checked[checked.column_names[-1]] == [1, 0]


def test_labels_of_a_regression_are_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, {"a.csv": "text,label\na,1.5\nb,-2\n"})["train"]
    checked = TASKS["text-classification"]().check(found, "train", section("csv"), nameless(1))
    assert checked[checked.column_names[-1]] == [1.5, -2.0]
    comma = read(tmp_path, {"b.csv": "text;label\na;1,5\nb;-2\n"}, options={"sep": ";", "decimal": ","})["train"]
    assert comma["label"] == ["1.5", "-2"] and comma["text"] == ["a", "b"]


def test_an_empty_label_names_its_row(tmp_path: Path) -> None:
    found = read(tmp_path, {"a.csv": 'text,label\na,1\nb,""\n'})["train"]
    with pytest.raises(DataError, match=r"row 1 \(from 0\) of column 'label' of split 'train' has none"):
        TASKS["text-classification"]().check(found, "train", section("csv"), nameless(2))


def test_columns_that_nobody_asks_for_do_no_harm(tmp_path: Path) -> None:
    rows = "".join(f"{number if number < 10_500 else 'x'},a,1\n" for number in range(11_000))  # chunks of 10,000
    assert len(read(tmp_path, {"a.csv": f",text,label\n{rows}"})["train"]) == 11_000


@pytest.mark.parametrize("name", ["a.tsv", "a.tab", "a.TSV"])
def test_tabs_by_name(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, {name: "text\tlabel\nyes, indeed\t1\n"})["train"]
    assert found[0] == {"text": "yes, indeed", "label": "1"}
    with pytest.raises(DataError, match=r"a\.csv.*dataset\.options\.sep"):
        read(tmp_path, {name: "text\tlabel\na\t1\n", "a.csv": "text,label\na,1\n"})


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("text;label\na;1\n", {"sep": ";"}),
        ("text|label\na|1\n", {"delimiter": "|"}),
        ("'text','label'\n'a','1'\n", {"quotechar": "'"}),
        ("text\tlabel\na\t1\n", {"sep": "\t", "quoting": 3}),
        ("a,1\n", {"column_names": ["text", "label"]}),
        ("a,1\n", {"names": ["text", "label"], "header": None}),
        ("note\ntext,label\na,1\n", {"skiprows": 1}),
        ("# note\ntext,label\na,1\n", {"comment": "#"}),
        ("text, label\na, 1\n", {"skipinitialspace": True}),
        ("text::label\na::1\n", {"sep": "::", "engine": "python"}),
        ("text,label\na,1\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("text,label\na,1\n".encode("utf-8-sig"), {}),
        ('"text","label"\na,1\n'.encode("utf-8-sig"), {}),
        ("text,label\ra,1\r", {}),
        ("text,label\r\na,1\r\n\r\n", {}),
    ],
)
def test_forms_of_csv(content: str | bytes, options: dict[str, Any], tmp_path: Path) -> None:
    assert read(tmp_path, {"a.csv": content}, options=options)["train"].to_list() == [{"text": "a", "label": "1"}]


def test_quotes_that_are_text(tmp_path: Path) -> None:
    content = 'text\tlabel\n"Stop\t1\nhe said" so\t0\n'
    message = refused(tmp_path, {"a.tsv": content})
    assert "line 3 of" in message and "a.tsv" in message and "dataset.options.quoting to 3" in message
    assert read(tmp_path, {"a.tsv": content}, options={"quoting": 3})["train"]["text"] == ['"Stop', 'he said" so']
    assert read(tmp_path, {"b.tsv": 'text\tlabel\n5" wide\t1\n'})["train"]["text"] == ['5" wide']


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("text,label\ngood, really good,1\n", ["line 2 of", "3 fields", "2 columns", "'?'"]),
        ("label,text\n1,good, really good\n0,bad\n", ["line 2 of", "3 fields"]),
        ("text,label\ngood,1\nbad\n", ["line 3 of", "1 field,"]),
        ("text,label,label\na,1,0\n", ["2 columns 'label'", "rename"]),
        ("text,text,label\na,b,0\n", ["2 columns 'text'"]),
        ("text;label\na;1\n", ["a single column, 'text;label'", "';'", "dataset.options.sep"]),
        ("text\tlabel\na\t1\n", ["'\\t'", "dataset.options.sep"]),
        ("", ["is empty"]),
        ('text,label\n"a,1\n', ["quotes that do not match"]),
        ("text,label\nd\xe9j\xe0,1\n".encode("latin-1"), ["not in utf-8", "byte 0xe9 in line 2", "latin-1 or cp1252"]),
        ("text,label\na,1\n".encode("utf-16"), ["utf-16"]),
        ("text,label\na,1\n".encode("utf-16-le"), ["zero byte in line 1", "utf-16"]),
        (b"text,label\na,1\nb\0c,1\n", ["zero byte in line 3"]),
    ],
)
def test_files_that_are_not_what_they_seem(content: str | bytes, parts: list[str], tmp_path: Path) -> None:
    message = refused(tmp_path, {"a.csv": content})
    assert str(tmp_path / "a.csv") in message
    for part in parts:
        assert part.replace("'?'", "','") in message


def test_an_encoding_can_be_given(tmp_path: Path) -> None:
    content = {"a.csv": "text,label\nd\xe9j\xe0,1\n".encode("latin-1")}
    assert read(tmp_path, content, options={"encoding": "latin-1"})["train"]["text"] == ["d\xe9j\xe0"]
    assert "no encoding" in refused(tmp_path, content, options={"encoding": "klingon"})
    assert "not in ascii" in refused(tmp_path, content, options={"encoding": "ascii"})
    lines = {"a.jsonl": '{"text": "d\xe9j\xe0", "label": 1}\n'.encode("latin-1")}
    assert "not in utf-8" in refused(tmp_path, lines, path="json")
    assert read(tmp_path, lines, path="json", options={"encoding": "latin-1"})["train"]["text"] == ["d\xe9j\xe0"]


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("csv", {"seperator": ";"}, "dataset.options.seperator: unknown key"),
        ("csv", {"quotng": 3}, "dataset.options.quotng: unknown key; did you mean 'quoting'?"),
        ("csv", {"data_files": "x"}, "dataset.options.data_files: unknown key"),
        ("csv", {"split": "train"}, "dataset.options.split: unknown key"),
        ("csv", {"na_values": ["-"]}, "dataset.options.na_values: texts and labels are read as they stand"),
        ("csv", {"features": {}}, "dataset.options.features: "),
        ("json", {"sep": ";"}, "dataset.options.sep: unknown key"),
    ],
)
def test_options_that_the_loader_does_not_have(
    path: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    content = {"a.csv": "text,label\na,1\n"} if path == "csv" else {"a.json": '{"text": "a", "label": 1}\n'}
    assert message in refused(tmp_path, content, ConfigError, path=path, options=options)


@pytest.mark.parametrize(
    "options", [{"sep": 5}, {"sep": ""}, {"quoting": "none"}, {"quotechar": "ab"}, {"chunksize": -1}]
)
def test_options_of_a_wrong_kind(options: dict[str, Any], tmp_path: Path) -> None:
    assert "dataset" in refused(tmp_path, {"a.csv": "text,label\na,1\n"}, MinidiscError, options=options)


@pytest.mark.parametrize(
    ("key", "value"), [("sample_by", "foo"), ("chunksize", 0), ("keep_linebreaks", "yes"), ("encoding_errors", "omit")]
)
def test_options_of_plain_text(key: str, value: Any, tmp_path: Path) -> None:
    content = {"a.txt": "one\n\ntwo\n"}
    assert f"dataset.options.{key}: " in refused(tmp_path, content, ConfigError, path="text", options={key: value})
    good = {"sample_by": "paragraph", "chunksize": 100, "encoding": "latin-1"}
    assert read(tmp_path, content, path="text", options=good)["train"]["text"] == ["one", "two\n"]


def test_a_field_of_json(tmp_path: Path) -> None:
    content = json.dumps({"version": 1, "data": [{"text": "a", "label": "x"}, {"text": "null", "label": "None"}]})
    found = read(tmp_path, {"a.json": content}, path="json", options={"field": "data"})["train"]
    assert found["text"] == ["a", "null"] and found["label"] == ["x", "None"]
    assert "'date'" in refused(tmp_path, {"a.json": content}, path="json", options={"field": "date"})


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("text-classification", {"text": None, "label": 0}),
        ("text-generation", {"text": None}),
        ("text2text-generation", {"text": "a", "label": None}),
    ],
)
def test_a_text_that_is_null_names_its_row(task: str, row: dict[str, Any], tmp_path: Path) -> None:
    first = {key: value if isinstance(value, int) else "a" for key, value in row.items()}
    content = "\n".join(json.dumps(line) for line in (first, row))
    found = read(tmp_path, {"a.jsonl": content}, path="json")["train"]
    with pytest.raises(DataError, match=r"row 1 \(from 0\) of column .* has no text \(null\)"):
        TASKS[task]().check(found, "train", section("json"), nameless(2))


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_kinds_of_text_in_parquet(kind: str, tmp_path: Path) -> None:
    texts = pa.array(["a", "null"])
    column = texts.dictionary_encode() if kind == "dictionary" else texts.cast(getattr(pa, kind)())
    pyarrow.parquet.write_table(pa.table({"text": column, "label": column}), tmp_path / "a.parquet")
    found = read_dataset(section("parquet", {"train": str(tmp_path / "a.parquet")}))[0]["train"]
    checked = TASKS["text-classification"]().check(found, "train", section("parquet"), model("null", "a"))
    assert checked.to_list() == [{"text 0": "a", "minidisc labels": 1}, {"text 0": "null", "minidisc labels": 0}]


@pytest.mark.parametrize("form", ["parquet", "arrow", "saved"])
def test_declared_names_survive_the_file(form: str, tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    made = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    if form == "parquet":
        made.to_parquet(tmp_path / "a.parquet")
        where = section("parquet", {"train": str(tmp_path / "a.parquet")})
    else:
        DatasetDict(train=made).save_to_disk(tmp_path / "saved")
        arrow = next((tmp_path / "saved" / "train").glob("*.arrow"))
        where = section("arrow", {"train": str(arrow)}) if form == "arrow" else section(str(tmp_path / "saved"))
    found = read_dataset(where)[0]["train"]
    checked = TASKS["text-classification"]().check(found, "train", where, model("negative", "positive"))
    assert checked["minidisc labels"] == [1, 0]


def test_a_folder_of_csv_is_read_alike(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nnull,None\n")
    (tmp_path / "test.csv").write_text("text,label\nNA,\n")
    found, files = read_dataset(section(str(tmp_path)))
    assert found["train"].to_list() == [{"text": "null", "label": "None"}]
    assert found["test"].to_list() == [{"text": "NA", "label": ""}]
    assert [Path(name).name for name in files["test"]] == ["test.csv"]
