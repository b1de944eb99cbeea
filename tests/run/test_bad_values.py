"""Every key of a config with values that it cannot have: exit status 2, one line that names the key, nothing written.

Keys come from the schema (the sections' fields, each scheduler's, and every field of the installed TrainingArguments),
values from their types. What a generated value may be after all, a rule says (`is_valid`), and no list of cases.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from transformers import TrainingArguments

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.plugins import host
from minidisc_plugin.run.shipped import minidisc_register_objectives
from tests.builders.tiny import make_config

# A value of each JSON type; a number with a fraction is no whole number.
OF_TYPE: dict[str, Any] = {
    "boolean": True,
    "integer": 3,
    "number": 2.5,
    "string": "words",
    "array": [["words"]],
    "object": {"words": 3},
    "null": None,
}
HUGE: dict[str, Any] = {
    "integer": 10**30,
    "number": 1e308,
    "string": "x" * 100_000,
    "array": ["x"] * 1000,
}
EMPTY: dict[str, list[Any]] = {"string": ["", " "], "array": [[]], "object": [{}]}
# What a key takes beside its own type: a name for a section, one column for a list, `scheduler:` for no scheduler,
# and a switch where transformers once wanted words.
SHORTHAND = {("metric", "string"), ("dataset.text", "string"), ("scheduler", "null"), ("training.fsdp", "boolean")}
ONE_IN = 23  # cases of the quick run


@dataclass(frozen=True)
class Key:
    """A key, dotted; the JSON types that it is declared with; and what it is where it is left out."""

    name: str
    types: frozenset[str]
    default: Any
    scheduler: str = "minidisc"
    objective: str = "minidisc"


@dataclass(frozen=True)
class Case:
    key: Key
    kind: str
    value: Any


def keys_of(model: type[BaseModel], prefix: str = "", scheduler: str = "minidisc") -> Iterator[Key]:
    """The fields of a section, and those of the sections in it."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        default = field.get_default(call_default_factory=True) if not field.is_required() else ...
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield Key(key, frozenset({"object"}), default)
            yield from keys_of(field.annotation, f"{key}.")
        elif key != "scheduler_config.target_sparsity":
            yield Key(key, json_types(field.annotation), default, scheduler)


def keys_of_training() -> Iterator[Key]:
    hints = get_type_hints(TrainingArguments)
    for field in dataclasses.fields(TrainingArguments):
        if field.init:
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            yield Key(f"training.{field.name}", json_types(hints[field.name]), default)


def json_types(annotation: Any) -> frozenset[str]:
    try:
        schema = TypeAdapter(annotation).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):  # a class of a library's own
        return frozenset({"object", "null"})
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if "$ref" in part:
            waiting.append(schema["$defs"][part["$ref"].rpartition("/")[2]])
        waiting += part.get("anyOf", [])
        found |= {part["type"]} if "type" in part else set()
        found |= {"string"} if "enum" in part or "const" in part else set()
        if not part.keys() - {"title", "description", "default", "$defs"}:
            found |= OF_TYPE.keys()  # anything
    return frozenset(found | ({"integer"} if "number" in found else set()))


def all_keys() -> list[Key]:
    keys = [*keys_of(CompressionConfig), *keys_of_training()]
    for name, scheduler in host().schedulers().items():
        if scheduler.__module__.startswith("minidisc_plugin."):
            keys += keys_of(scheduler, "scheduler_config.", name)
    for objective in minidisc_register_objectives():
        if objective.own_settings is not None:
            own = keys_of(objective.own_settings, f"distillation.{objective.name}.")
            keys += [dataclasses.replace(key, objective=objective.name) for key in own]
    return keys


def cases_of(key: Key) -> Iterator[Case]:
    numeric = key.types & {"integer", "number"}
    for kind, value in OF_TYPE.items():
        if kind not in key.types and (key.name, kind) not in SHORTHAND:
            yield Case(key, "wrong type", value)
    if numeric:
        yield Case(key, "wrong sign", -3)
    if "number" in numeric:
        yield Case(key, "wrong sign", -0.5)
    for kind in key.types:
        for value in EMPTY.get(kind, ()):
            yield Case(key, "empty", value)
        if kind in HUGE:
            yield Case(key, "huge", HUGE[kind])
    for value in (math.nan, math.inf, -math.inf):
        yield Case(key, "not finite", value)
    if "array" in key.types:
        yield Case(key, "not finite", [math.nan])
    if "object" in key.types:
        yield Case(key, "not finite", {"words": math.inf})


def is_valid(case: Case) -> bool:
    """Whether a value says what leaving the key out says: an empty list or section for nothing or every default, or
    the default itself."""
    default = case.key.default
    if case.value in ([], {}):
        return default is not ... and (default in (None, "none", [], {}) or isinstance(default, BaseModel))
    return type(case.value) is type(default) and case.value == default


def data_of(case: Case, files: Path, output: Path) -> dict[str, Any]:
    """The config of a run with the value in its place."""
    data = make_config(files, output_dir=str(output), scheduler=case.key.scheduler, engine={})
    own = {} if case.key.objective == "minidisc" else {"objective": case.key.objective, case.key.objective: {}}
    data["distillation"] = own
    data |= {"metric": {"name": "accuracy"}, "export": {}, "quantization": {}, "generation": {}}
    data["scheduler_config"] = {}
    *sections, last = case.key.name.split(".")
    held = data
    for section in sections:
        held = held[section]
    held[last] = case.value
    return data


def fault_of(case: Case, files: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str | None:
    """What is wrong with how a value is refused; None where nothing is."""
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(data_of(case, files, folder / "out")), encoding="utf-8")
    try:
        status = main(["run", str(config)])
    except BaseException as error:  # what would be a traceback
        return f"{type(error).__name__}: {error}"
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    written = [path.name for path in folder.iterdir() if path != config]
    for path in folder.iterdir():
        if path != config:
            shutil.rmtree(path)  # what comes next begins in an empty folder
    if status != 2:
        return f"status {status}"
    if written:
        return f"left {written}"
    if len(lines) != 1 or len(lines[0]) > 4000:
        return f"{len(lines)} lines: {captured.err[:200]}"
    if not names(lines[0], case.key.name):
        return f"does not name the key: {lines[0]}"
    return None


def names(line: str, key: str) -> bool:
    """Whether a message names the key that it is about, or one inside of it."""
    return any(f" {key}{end}" in line for end in (":", "."))


def check(cases: list[Case], files: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A table of the cases, by kind.

    Raises:
        AssertionError: lists the values that are not refused as they should be.
    """
    refused: Counter[str] = Counter()
    valid: Counter[str] = Counter()
    faults: list[str] = []
    for case in cases:
        if is_valid(case):
            valid[case.kind] += 1
            continue
        fault = fault_of(case, files, folder, capsys)
        if fault is None:
            refused[case.kind] += 1
        else:
            faults.append(f"{case.key.name} = {str(case.value)[:40]!r} ({case.kind}, {case.key.scheduler}): {fault}")
    rows = [f"{kind:<12}{refused[kind]:>8}{valid[kind]:>8}" for kind in sorted(refused | valid)]
    table = "\n".join([f"{'':<12}{'refused':>8}{'valid':>8}", *rows])
    assert not faults, f"{len(faults)} of {len(cases)}:\n" + "\n".join(faults) + f"\n{table}"
    return table + f"\nrefused in one line, with nothing written: {refused.total()} of {refused.total()}"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in a config are relative to a folder in which nothing is to appear."""
    monkeypatch.chdir(tmp_path)


def test_some_of_the_values_that_a_key_cannot_have(
    run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [case for key in all_keys() for case in cases_of(key)]
    check(cases[::ONE_IN], run_files, tmp_path, capsys)


@pytest.mark.slow
def test_all_values_that_a_key_cannot_have(run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [case for key in all_keys() for case in cases_of(key)]
    assert len(cases) >= 1000
    table = check(cases, run_files, tmp_path, capsys)
    with capsys.disabled():
        print(f"\n{table}")


def test_types_of_keys_are_read_from_the_schema() -> None:
    keys = {key.name: key for key in all_keys()}
    assert keys["max_length"].types == {"integer"} and keys["selection_size"].types == {"number", "integer"}
    assert keys["engine.teacher_cache"].types == {"string", "boolean", "null"}
    assert keys["dataset.data_files"].types == {"string", "array", "object", "null"}
    assert keys["scheduler_config.candidates"].types == {"array", "null"}
    assert keys["training.learning_rate"].types == {"number", "integer"}
    assert {"string", "array"} <= keys["training.report_to"].types
    assert len(keys) > 150
