"""Values of a config are read strictly: of their very type, finite, of a sane size; paths are made in one place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.contracts.values import check_output, check_path
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.plugins import host
from minidisc_plugin.plugins.schedulers import make_scheduler
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.config.written import to_yaml
from tests.builders.tiny import make_config


def with_value(key: str, value: Any) -> dict[str, Any]:
    """The config of a run with one key changed; a dot leads into a section."""
    data = make_config(Path("runs"), distillation={}, engine={}, export={}, quantization={})
    data["metric"] = {"name": "accuracy"}
    *sections, last = key.split(".")
    held = data
    for section in sections:
        held = held[section]
    held[last] = value
    return data


def refused(key: str, value: Any) -> str:
    """The one line that a value is refused with."""
    with pytest.raises(ConfigError) as caught:
        validate(CompressionConfig, with_value(key, value))
    message = str(caught.value)
    assert message.startswith(f"{key}") and "\n" not in message and len(message) < 500
    return message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_length", True),
        ("max_length", "3"),
        ("max_length", 3.0),
        ("early_stopping_patience", "2"),
        ("selection_size", "0.1"),
        ("selection_size", True),
        ("pruning.target_sparsity", "0.5"),
        ("trust_remote_code", "yes"),
        ("trust_remote_code", 1),
        ("engine.dropout", "false"),
        ("engine.teacher_cache", 1),
        ("engine.teacher_cache_gib", "8"),
        ("distillation.loss_weights", ["0.5", 0.5]),
        ("metric.range", [False, 1]),
        ("model", 3),
        ("steps", ["export", 1]),
    ],
)
def test_a_value_of_another_type_is_refused_and_not_converted(key: str, value: Any) -> None:
    assert "cannot be used: input should be" in refused(key, value)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("max_length", 10**30, "it is beyond 4,294,967,295"),
        ("engine.teacher_cache_gib", 1e300, "it is beyond 1,000,000,000,000"),
        ("metric.range", [0, float("inf")], "finite number"),
        ("distillation.loss_weights", [float("nan"), 1.0], "finite number"),
        ("model", "x" * 10_000, "longer than 4096 characters"),
        ("dataset.label", "", "it is empty"),
        ("dataset.text", [""], "it is empty"),
        ("dataset.text", ["a", "a"], "'a' is given twice"),
        ("dataset.data_files", {"train": " "}, "it is empty"),
        ("metric.name", "a\0b", "a NUL character"),
        ("model", "\ud800", "a lone surrogate"),
        ("steps", ["export", "export"], "'export' is given twice; remove one"),
        ("export.formats", ["onnx", "onnx"], "'onnx' is given twice"),
        ("export.formats", [], "list should have at least 1 item"),
        ("quantization.schemes", ["inc_static", "inc_static"], "'inc_static' is given twice"),
        ("output_dir", "$HOME/runs", "$HOME is not expanded"),
        ("dataset.data_files", "${DATA}/train.csv", "${DATA} is not expanded"),
        ("output_dir", "runs/" + "x" * 256, "longer than 255 bytes"),
        ("output_dir", "é" * 200, "longer than 255 bytes"),
        ("output_dir", "s3://bucket/runs", "it is an address"),
        ("output_dir", "file:///tmp/runs", "it is an address"),
        ("output_dir", "hf:/somebody/runs", "it is an address"),
        ("engine.teacher_cache_dir", "https://host/cache", "it is an address, and files are written to a local"),
        ("model", "~nobody-of-that-name/teacher", "there is no user 'nobody-of-that-name' here"),
    ],
)
def test_a_value_that_no_run_can_use(key: str, value: Any, reason: str) -> None:
    assert reason in refused(key, value)


def test_credentials_in_an_address_are_not_printed() -> None:
    assert "hunter2" not in refused("output_dir", "s3://user:hunter2@bucket/runs")


@pytest.mark.parametrize("folder", ["", " ", ".", "./", "..", "/", "//", "../..", "runs/..", "./runs/../."])
def test_a_run_writes_into_no_folder_but_its_own(folder: str) -> None:
    refused("output_dir", folder)


@given(st.lists(st.sampled_from([".", "..", "", "a", "b"]), max_size=6), st.booleans())
def test_a_path_that_names_nothing_is_the_only_one_refused(parts: list[str], absolute: bool) -> None:
    written = "/" * absolute + "/".join(parts)
    here = Path("/a-folder/of-its-own")
    target = Path("/".join(["", *here.parts[1:], written]) if not absolute else written)
    above = {str(here), *map(str, here.parents)}
    try:
        check_output(written)
    except ValueError:
        assert not written.strip() or _normal(target) in above
    else:
        assert _normal(target) not in above


def _normal(path: Path) -> str:
    return os.path.normpath(path).replace("//", "/")


def test_the_home_is_written_out_wherever_a_path_may_stand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    data = make_config(Path("~/here"), tokenizer="~/tokenizer", metric="~/metric", engine={"teacher_cache_dir": "~/c"})
    data["dataset"] |= {"path": "~/data", "data_dir": "~/d", "cache_dir": "~/cache"}
    config = validate(CompressionConfig, data)
    assert config.output_dir == f"{tmp_path}/here/out" and config.model == f"{tmp_path}/here/teacher"
    assert "~" not in to_yaml(config)
    for files in ("~/a.csv", ["~/a.csv"], {"train": "~/a.csv"}, {"train": ["~/a.csv"]}):
        data["dataset"]["data_files"] = files
        assert "~" not in to_yaml(validate(CompressionConfig, data))
    file = tmp_path / "again.yaml"
    file.write_text(to_yaml(config), encoding="utf-8")
    monkeypatch.setenv("HOME", "/elsewhere")
    assert read_config(file) == config


def test_what_is_no_home_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("csv", "org/name", "./~/x", "a~b", "hf://datasets/a/b.csv", "data/*.csv"):
        assert check_path(path) == path
    monkeypatch.chdir(tmp_path)
    Path("$cash").mkdir()
    assert check_path("$cash") == "$cash"


@pytest.mark.parametrize("scheduler", ["direct", "fixed", "maxidisc", "minidisc"])
def test_settings_of_a_scheduler_are_read_as_strictly(scheduler: str) -> None:
    fields = host().schedulers()[scheduler].model_fields
    for name, field in fields.items():
        key = field.alias or name
        for value in ("3", "", 1 if field.annotation is bool else True, 10**30, float("nan"), {}):
            with pytest.raises(ConfigError, match=rf"^scheduler_config\.{key}"):
                make_scheduler(scheduler, {key: value}, 0.8)


def test_a_third_partys_settings_are_strict_too() -> None:
    from minidisc_plugin.contracts.scheduler import Scheduler
    from minidisc_plugin.contracts.values import Settings

    assert issubclass(Scheduler, Settings) and issubclass(Settings, BaseModel)
    assert Scheduler.model_config["strict"] and not Scheduler.model_config["allow_inf_nan"]


@pytest.mark.parametrize("value", [0.9999999999, 0.9999996, 1e-9, 1e-6])
def test_a_sparsity_whose_scale_is_rounded_away_is_refused_by_its_key(value: float) -> None:
    line = refused("pruning.target_sparsity", value)
    assert line.startswith(f"pruning.target_sparsity: {value!r}") and "from 0.000002 to 0.999999" in line
    with pytest.raises(ConfigError, match=r"target_sparsity: .* from 0\.000002 to 0\.999999"):
        make_scheduler("minidisc", {}, value)


@pytest.mark.parametrize("value", [0.000002, 0.999999])
@pytest.mark.parametrize("scheduler", ["minidisc", "maxidisc", "direct"])
def test_the_outermost_sparsities_have_a_scale(scheduler: str, value: float) -> None:
    validate(CompressionConfig, with_value("pruning.target_sparsity", value))
    assert make_scheduler(scheduler, {}, value).target_scale == pytest.approx(1 - value)
