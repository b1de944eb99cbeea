from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from minidisc_plugin.contracts.records import (
    Candidate,
    ModelRow,
    ResultsRecord,
    ScheduleRecord,
    read_results,
    read_schedule,
    write_json,
)
from minidisc_plugin.foundation.errors import RunDirectoryError


def test_a_schedule_survives_the_file(tmp_path: Path, make_schedule: Callable[..., ScheduleRecord]) -> None:
    schedule = make_schedule({0.5: 0.9, 0.2: None}, assistants=(0.5,), measured_on="student")
    write_json(tmp_path / "schedule.json", schedule)
    assert read_schedule(tmp_path) == schedule


def test_results_survive_the_file(tmp_path: Path, make_results: Callable[..., ResultsRecord]) -> None:
    results = make_results(split="validation")
    write_json(tmp_path / "results.json", results)
    assert read_results(str(tmp_path)) == results


def test_the_file_is_plain_json_with_lambda_and_lists_on_one_line(
    tmp_path: Path, make_schedule: Callable[..., ScheduleRecord]
) -> None:
    rule = "odd [\n1,\n2] but text"
    write_json(tmp_path / "schedule.json", make_schedule(rule=rule, assistants=(0.3, 0.2)))
    text = (tmp_path / "schedule.json").read_text()
    data = json.loads(text)
    assert data["lambda"] == 0.2 and "lam" not in data
    assert data["rule"] == rule
    assert '"assistants": [0.3, 0.2],\n' in text
    assert '"heads": [8, 1],\n' in text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_null(
    tmp_path: Path, value: float, make_schedule: Callable[..., ScheduleRecord]
) -> None:
    schedule = make_schedule({0.5: value, 0.2: 0.8}, lam=value)
    assert schedule.candidates[0].metric is None
    write_json(tmp_path / "schedule.json", schedule)
    data = json.loads((tmp_path / "schedule.json").read_text(), parse_constant=pytest.fail)
    first = data["candidates"][0]
    assert (data["lambda"], first["metric"], first["raw_metric"], first["tradeoff"]) == (None,) * 4
    assert read_schedule(tmp_path) == schedule


def test_not_even_an_unchecked_copy_writes_nan(tmp_path: Path) -> None:
    row = ModelRow(role="student", scale=0.1).model_copy(update={"metric": math.nan})
    write_json(tmp_path / "row.json", row)
    assert json.loads((tmp_path / "row.json").read_text(), parse_constant=pytest.fail)["metric"] is None


def test_a_metric_outside_0_to_1_is_refused_but_rounding_is_not() -> None:
    sizes = {
        "scale": 0.5,
        "sparsity": 0.5,
        "heads": [1],
        "neurons": [1],
        "parameters": 9,
        "encoder_parameters": 4,
    }
    assert Candidate(**sizes, metric=1.0000000000000002, raw_metric=86.5).metric == 1.0
    assert Candidate(**sizes, metric=-1e-12).metric == 0.0
    with pytest.raises(ValidationError, match="metric"):
        Candidate(**sizes, metric=86.5)


def test_records_refuse_unknown_keys_and_changes() -> None:
    with pytest.raises(ValidationError, match="latency"):
        ModelRow(role="student", scale=0.1, latency=3.0)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="frozen"):
        ModelRow(role="student", scale=0.1).scale = 0.2  # type: ignore[misc]


def test_numbers_of_numpy_are_taken() -> None:
    numpy = pytest.importorskip("numpy")
    row = ModelRow(role="student", scale=numpy.float32(0.5), parameters=numpy.int64(7), metric=numpy.float64("nan"))
    assert (row.scale, row.parameters, row.metric) == (0.5, 7, None)


def _message(read: Callable[[Path], object], folder: Path) -> str:
    with pytest.raises(RunDirectoryError) as caught:
        read(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_missing_is_named_in_one_line(tmp_path: Path) -> None:
    assert "elsewhere is not a folder" in _message(read_results, tmp_path / "elsewhere")
    for read, name in ((read_schedule, "schedule.json"), (read_results, "results.json")):
        message = _message(read, tmp_path)
        assert str(tmp_path / name) in message and "minidisc run" in message


def test_a_broken_file_is_named_in_one_line(tmp_path: Path, make_results: Callable[..., ResultsRecord]) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"scheduler": "mini')
    assert "results.json cannot be used" in _message(read_results, tmp_path)
    data = make_results().model_dump(mode="json")
    data["rows"][1]["flops"] = 3
    data.pop("seed")
    path.write_text(json.dumps(data))
    message = _message(read_results, tmp_path)
    assert "rows.1.flops" in message and "1 more" in message
    path.write_bytes(b"\xff\xfe{}")
    assert "cannot be read" in _message(read_results, tmp_path)


def test_row_finds_the_first_of_a_role(make_results: Callable[..., ResultsRecord]) -> None:
    results = make_results()
    assert results.row("assistant") is results.rows[1]
    assert results.row("nobody") is None
