"""Files that say what their columns are: what one calls a class is never read by the order of another."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.run.data.reading import read_dataset
from tests.run.data.test_reading import section

NEG_POS, POS_NEG = ClassLabel(names=["neg", "pos"]), ClassLabel(names=["pos", "neg"])


def made(label: Any = NEG_POS, values: tuple[Any, ...] = (0, 1), **more: list[Any]) -> Dataset:
    columns = {"text": ["a", "b"], "label": list(values), **more}
    features = {name: Value("string") for name in columns} | {"label": label}
    return Dataset.from_dict(columns, features=Features(features))


def refusal(files: Any, path: str = "parquet") -> str:
    with pytest.raises(DataError) as caught:
        read_dataset(section(path, files))
    return str(caught.value)


@pytest.mark.parametrize("order", [("train", "test"), ("test", "train")])
def test_classes_in_another_order_are_refused(order: tuple[str, str], tmp_path: Path) -> None:
    for name, label in (("train", NEG_POS), ("test", POS_NEG)):
        made(label).to_parquet(tmp_path / f"{name}.parquet")
    message = refusal({name: str(tmp_path / f"{name}.parquet") for name in order})
    for part in (*(f"{name}.parquet" for name in order), "classes neg, pos", "classes pos, neg", "same order"):
        assert part in message


@pytest.mark.parametrize("form", ["list", "glob", "folder", "arrow", "saved"])
def test_files_of_one_split_and_of_every_form(form: str, tmp_path: Path) -> None:
    parts = DatasetDict(train=made(), test=made(POS_NEG))
    for name, part in parts.items():
        part.to_parquet(tmp_path / f"{name}-0.parquet")
    paths = [str(tmp_path / f"{name}-0.parquet") for name in parts]
    files: dict[str, Any] = {"list": {"train": paths}, "glob": {"train": str(tmp_path / "*.parquet")}, "folder": None}
    path = str(tmp_path) if form == "folder" else "parquet"
    if form in ("arrow", "saved"):
        parts.save_to_disk(tmp_path / "saved")
        path = "arrow" if form == "arrow" else str(tmp_path / "saved")
        files["saved"] = None
        files["arrow"] = {name: str(next((tmp_path / "saved" / name).glob("*.arrow"))) for name in parts}
    message = refusal(files[form], path)
    assert "classes neg, pos" in message and "classes pos, neg" in message


def test_names_beside_indices_and_classes_of_words(tmp_path: Path) -> None:
    made(Value("string"), ("neg", "pos")).to_parquet(tmp_path / "names.parquet")
    made(POS_NEG).to_parquet(tmp_path / "indices.parquet")
    message = refusal({"train": str(tmp_path / "names.parquet"), "test": str(tmp_path / "indices.parquet")})
    assert "declares no classes" in message and "classes pos, neg" in message
    for name, label in (("a", NEG_POS), ("b", POS_NEG)):
        made(Sequence(label), ([0], [1])).to_parquet(tmp_path / f"{name}.parquet")
    assert "same order" in refusal({"train": str(tmp_path / "a.parquet"), "test": str(tmp_path / "b.parquet")})


def test_columns_of_one_file_only(tmp_path: Path) -> None:
    made().to_parquet(tmp_path / "a.parquet")
    made(note=["x", "y"]).to_parquet(tmp_path / "b.parquet")
    made().rename_column("label", "tag").to_parquet(tmp_path / "c.parquet")
    for train, test in ("ab", "ba"):
        found = read_dataset(
            section("parquet", {"train": str(tmp_path / f"{train}.parquet"), "test": str(tmp_path / f"{test}.parquet")})
        )[0]
        assert found["train"].column_names == found["test"].column_names == ["text", "label"]
    message = refusal({"train": str(tmp_path / "a.parquet"), "test": str(tmp_path / "c.parquet")})
    assert "c.parquet has no column 'label'" in message and "text, tag" in message


@pytest.mark.parametrize("path", ["parquet", "arrow"])
def test_a_damaged_file_is_named(path: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"no such thing" * 100)
    assert "a.bin is no" in refusal({"train": str(tmp_path / "a.bin")}, path)


CARD = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': neg
          '1': pos
configs:
- config_name: default
  data_files: [{split: train, path: train.parquet}, {split: test, path: test.parquet}]
---
"""


def test_a_card_says_how_files_are_read_that_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    made().to_parquet(tmp_path / "train.parquet")
    made(Value("int64")).to_parquet(tmp_path / "test.parquet")
    found = read_dataset(section(str(tmp_path)))[0]
    assert found["train"].features["label"] == found["test"].features["label"] == NEG_POS
    made(POS_NEG).to_parquet(tmp_path / "test.parquet")
    message = refusal(None, str(tmp_path))
    assert "the card of the data set" in message and "classes pos, neg" in message


def test_packed_files_are_looked_into(tmp_path: Path) -> None:
    for name, label in (("train", NEG_POS), ("test", POS_NEG)):
        made(label).to_parquet(tmp_path / f"{name}.parquet")
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.write(tmp_path / f"{name}.parquet", f"{name}.parquet")
    assert "same order" in refusal({name: str(tmp_path / f"{name}.zip") for name in ("train", "test")})


MAP = pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))
ODD = {"map": MAP, "list": pa.array([[[("a", 1)]], []], pa.list_(MAP.type)), "union": None}
ODD["union"] = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])])


@pytest.mark.parametrize("kind", ["map", "list"])
def test_a_column_that_cannot_be_held_and_that_nobody_asks_for(kind: str, tmp_path: Path) -> None:
    table = made().data.table.append_column("odd", ODD[kind])
    pyarrow.parquet.write_table(table, tmp_path / "odd.parquet")
    made(NEG_POS, (1, 0)).to_parquet(tmp_path / "plain.parquet")
    files = {"train": [str(tmp_path / "odd.parquet"), str(tmp_path / "plain.parquet")]}
    files["test"] = str(tmp_path / "plain.parquet")
    for order in (files, {**files, "train": files["train"][::-1]}):
        found = read_dataset(section("parquet", order))[0]
        assert found["train"].features["label"] == NEG_POS and sorted(found["train"]["label"]) == [0, 0, 1, 1]
        assert found["train"].column_names == ["text", "label"]


@pytest.mark.parametrize("kind", ["map", "list", "union"])
def test_a_column_that_cannot_be_held_and_is_needed(kind: str, tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"], "label": ODD[kind]})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    assert "in column 'label', which `datasets` cannot hold" in refusal({"train": str(tmp_path / "a.arrow")}, "arrow")
    if kind != "union":  # which Parquet cannot hold either
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        assert "in column 'label', which `datasets` cannot hold" in refusal({"train": str(tmp_path / "a.parquet")})
