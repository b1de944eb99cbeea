"""Numbers with a decimal comma or separated thousands: each row by itself, and no other cell touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.run.data.csv_numbers import number_reader
from minidisc_plugin.run.data.reading import read_dataset
from minidisc_plugin.tasks.registry import TASKS
from tests.run.data.test_reading import read, refused, section
from tests.tasks.test_labels import model, nameless

COMMA = {"sep": ";", "decimal": ",", "thousands": "."}


def labels(found: Any, config: Any) -> list[Any]:
    checked = TASKS["text-classification"]().check(found, "train", section("csv"), config)
    return list(checked["minidisc labels"])


@pytest.mark.parametrize("engine", [{}, {"sep": "::"}, {"engine": "python"}])
@pytest.mark.parametrize("first", ["whole", "broken"])
def test_the_order_of_rows_does_not_matter(first: str, engine: dict[str, Any], tmp_path: Path) -> None:
    rows = [f"1.000,{row}" for row in range(12)], [str(row) for row in range(12)]
    cells = [*rows[1], *rows[0]] if first == "whole" else [*rows[0], *rows[1]]
    options = {**COMMA, "chunksize": 10, **engine}
    content = "\n".join(["note;text;label", *(f"{cell};{cell};{cell}" for cell in cells)])
    found = read(tmp_path, {"a.csv": content.replace(";", options["sep"])}, options=options)["train"]
    assert found["text"] == cells == found["note"]
    expected = [float(cell.replace(".", "").replace(",", ".")) for cell in cells]
    assert labels(found, nameless(1)) == expected


@pytest.mark.parametrize(
    ("cells", "names"),
    [(["True", "False"], ("False", "True")), (["01", "00"], ("00", "01")), (["b,c", "a"], ("a", "b,c"))],
)
def test_names_of_classes_stay(cells: list[str], names: tuple[str, ...], tmp_path: Path) -> None:
    content = "\n".join(["text;label", *(f"1.000,5;{cell}" for cell in cells)])
    found = read(tmp_path, {"a.csv": content}, options=COMMA)["train"]
    assert labels(found, model(*names)) == [1, 0] and found["text"] == ["1.000,5"] * 2


@pytest.mark.parametrize("names", [{"header": None}, {"names": ["0", "1"]}])
def test_a_file_without_names(names: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;0,5\nb;2\n", encoding="utf-8")
    keys = {"text": ["0"], "label": "1", "options": {**COMMA, **names}}
    files = dict.fromkeys(("train", "test"), str(tmp_path / "a.csv"))
    assert read_dataset(section("csv", files, **keys))[0]["train"]["1"] == ["0.5", "2"]


def test_a_point_that_is_neither(tmp_path: Path) -> None:
    options = {"sep": ";", "decimal": ","}
    message = refused(tmp_path, {"a.csv": "text;label\na;1,5\nb;2.000\n"}, options=options)
    assert "dataset.label: '2.000' has a point, which is neither dataset.options.decimal nor thousands" in message


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1.234.567,5", "1234567.5"),
        ("-,5", "-.5"),
        ("+3,", "+3."),
        ("1,5e-3", "1.5e-3"),
        ("", ""),
        ("x,y", "x,y"),
        ("1,2,3",) * 2,
    ],
)
def test_forms_of_numbers(cell: str, expected: str) -> None:
    assert number_reader(COMMA)(cell) == expected
