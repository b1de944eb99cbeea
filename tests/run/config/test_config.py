"""Configs from YAML and JSON: shorthand, overrides, one-line errors, and the way back to YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.validation import settings_of, validate
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.config.written import to_yaml
from minidisc_plugin.schedulers.minidisc import MiniDisc
from tests.builders.tiny import make_config


def write(path: Path, data: Any) -> Path:
    text = json.dumps(data) if path.suffix == ".json" else yaml.safe_dump(data)
    path.write_text(text, encoding="utf-8")
    return path


def refused(data: dict[str, Any]) -> str:
    """The one line that a config is refused with."""
    with pytest.raises(ConfigError) as caught:
        validate(CompressionConfig, data)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def test_yaml_and_json_give_the_same_config(tmp_path: Path) -> None:
    data = make_config(tmp_path)
    from_yaml = read_config(write(tmp_path / "config.yaml", data))
    assert from_yaml == read_config(write(tmp_path / "config.json", data))
    assert from_yaml.pruning.target_sparsity == 0.8
    assert from_yaml.pruning.sparsities == [0.8]
    assert from_yaml.scheduler_config == {"lambda": 0.2, "candidates": [0.6, 0.4]}
    assert from_yaml.seed == 0


def test_shorthand_of_metric_and_text(tmp_path: Path) -> None:
    data = make_config(tmp_path)
    data["dataset"]["text"] = "sentence"
    config = validate(CompressionConfig, data | {"metric": "accuracy"})
    assert config.dataset.text == ["sentence"]
    assert config.metric.name == "accuracy" and config.metric.range is None and config.metric.options == {}
    data["dataset"]["text"] = ["premise", "hypothesis"]
    data["metric"] = {"name": "f1", "options": {"average": "macro"}}
    config = validate(CompressionConfig, data)
    assert config.dataset.text == ["premise", "hypothesis"]
    assert config.metric.options == {"average": "macro"}


def test_a_scheduler_left_empty_is_a_direct_distillation(tmp_path: Path) -> None:
    assert validate(CompressionConfig, make_config(tmp_path, scheduler=None)).scheduler == "direct"


@pytest.mark.parametrize("written", ["1e-4", "1E-4", "1.0e-4", "0.0001", ".1e-3", "+1e-4"])
def test_numbers_with_an_exponent_are_numbers(written: str, tmp_path: Path) -> None:
    """PyYAML alone reads `1e-4` as a string, which would fail when training begins."""
    config = write(tmp_path / "config.yaml", make_config(tmp_path))
    text = config.read_text(encoding="utf-8").replace("learning_rate: 0.001", f"learning_rate: {written}")
    config.write_text(text, encoding="utf-8")
    assert read_config(config).training["learning_rate"] == pytest.approx(1e-4)
    assert read_config(config, [f"training.weight_decay={written}"]).training["weight_decay"] == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("section", "key", "nearest"),
    [
        (None, "schedular", "scheduler"),
        (None, "prunning", "pruning"),
        ("dataset", "train_splits", "train_split"),
        ("pruning", "sparsity", "target_sparsity"),
        ("metric", "nam", "name"),
        ("distillation", "temprature", "temperature"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(
    section: str | None, key: str, nearest: str, tmp_path: Path
) -> None:
    data = make_config(tmp_path, metric={"name": "accuracy"}, distillation={})
    (data if section is None else data[section])[key] = 1
    path = key if section is None else f"{section}.{key}"
    assert refused(data) == f"{path}: unknown key; did you mean {nearest!r}?"


def test_an_unknown_key_like_no_other_lists_the_known_ones(tmp_path: Path) -> None:
    message = refused(make_config(tmp_path, zzz=1))
    assert message == f"zzz: unknown key; known keys: {', '.join(sorted(settings_of(CompressionConfig)))}"


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"pruning": {"target_sparsity": 1.0}}, ("pruning.target_sparsity", "1.0", "less than 1")),
        ({"pruning": {"target_sparsity": 0}}, ("pruning.target_sparsity", "0", "greater than 0")),
        ({"pruning": {"target_sparsity": "most"}}, ("pruning.target_sparsity", "'most'", "valid number")),
        ({"pruning": 0.9}, ("pruning", "0.9", "valid dictionary")),
        ({"max_length": 1}, ("max_length", "1", "greater than or equal to 2")),
        ({"max_length": 12.5}, ("max_length", "12.5", "valid integer")),
        ({"selection_size": 1.5}, ("selection_size", "1.5", "less than 1")),
        ({"early_stopping_patience": 0}, ("early_stopping_patience", "0", "greater than or equal to 1")),
        ({"task": "translation"}, ("task", "'translation'", "'text-classification'")),
        ({"steps": "quantize"}, ("steps", "'quantize'", "valid list")),
        ({"training": None}, ("training", "None", "valid dictionary")),
        ({"distillation": {"temperature": float("nan")}}, ("distillation.temperature", "nan", "finite number")),
        ({"distillation": {"loss_weights": [0.5, 0.6]}}, ("distillation.loss_weights", "[0.5, 0.6]", "sum to 1")),
        ({"metric": {"name": "f1", "range": [0, "high"]}}, ("metric.range.1", "'high'", "valid number")),
    ],
)
def test_a_value_that_cannot_be_used(change: dict[str, Any], parts: tuple[str, str, str], tmp_path: Path) -> None:
    """The message begins with the key, shows the value and says what would do; and speaks of nothing else."""
    key, value, remedy = parts
    message = refused(make_config(tmp_path, **change))
    assert message.startswith(f"{key}: ")
    assert value in message and remedy in message
    assert message.count("cannot be used") == 1


def test_a_key_with_several_types_is_named_once(tmp_path: Path) -> None:
    data = make_config(tmp_path)
    data["dataset"]["data_files"] = 3
    message = refused(data)
    assert message.startswith("dataset.data_files: 3 cannot be used: ")
    assert message.count("dataset.data_files") == 1
    for kind in ("string", "list", "dictionary"):
        assert kind in message
    data["dataset"]["data_files"] = {"train": "train.csv", "test": 3}
    assert refused(data).startswith("dataset.data_files.test: 3 cannot be used: ")


def test_missing_keys_are_named(tmp_path: Path) -> None:
    data = make_config(tmp_path)
    del data["model"], data["dataset"]["text"]
    assert refused(data) == "model: missing; add it; dataset.text: missing; add it"


def test_set_overrides_one_key_at_a_time(tmp_path: Path) -> None:
    file = write(tmp_path / "config.yaml", make_config(tmp_path))
    overrides = [
        "scheduler_config.lambda=0.3",
        "dataset.text=[premise, hypothesis]",
        "distillation.objective=knowledge_distillation",  # a section that the file does not have
        "early_stopping_patience=2",
        "scheduler=maxidisc",
        "scheduler=fixed",
    ]
    config = read_config(file, overrides)
    assert config.scheduler_config == {"lambda": 0.3, "candidates": [0.6, 0.4]}
    assert config.dataset.text == ["premise", "hypothesis"]
    assert config.distillation.objective == "knowledge_distillation"
    assert config.early_stopping_patience == 2
    assert config.scheduler == "fixed"
    assert read_config(file).scheduler == "minidisc"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("scheduler", "expected KEY=VALUE"),
        ("=fixed", "expected KEY=VALUE"),
        ("model.name=x", "'model' holds no keys"),
        ("metric=[", "while parsing"),
        ("max_length=long", "max_length: 'long' cannot be used"),
        ("scheduler_confg.lambda=1", "did you mean 'scheduler_config'?"),
    ],
)
def test_an_override_that_cannot_be_used(override: str, reason: str, tmp_path: Path) -> None:
    file = write(tmp_path / "config.yaml", make_config(tmp_path))
    with pytest.raises(ConfigError) as caught:
        read_config(file, [override])
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_to_yaml_is_read_back_to_an_equal_config(tmp_path: Path) -> None:
    data = make_config(tmp_path)
    data |= {
        "metric": {"name": "f1", "range": [0, 100], "options": {"average": "macro", "labels": [0, 1]}},
        "distillation": {"objective": "knowledge_distillation", "loss_weights": [0.25, 0.75]},
        "training": data["training"] | {"learning_rate": 1e-5, "lr_scheduler_kwargs": {"power": 2}},
        "steps": ["one", "two"],
        "versions": {"torch": "2.13.0", "odd": "1e10"},
        "output_dir": str(tmp_path / "ünicode: dir # 1"),
    }
    data["dataset"]["revision"] = "1e5"  # a string, although it looks like a number
    config = validate(CompressionConfig, data)
    file = tmp_path / "again.yaml"
    file.write_text(to_yaml(config), encoding="utf-8")
    assert read_config(file) == config
    file.write_text(to_yaml(read_config(file)), encoding="utf-8")
    assert read_config(file) == config


def test_the_settings_of_a_scheduler_are_named_as_a_config_spells_them() -> None:
    assert "lambda" in settings_of(MiniDisc) and "lam" not in settings_of(MiniDisc)


def test_python_tags_are_refused(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    file = tmp_path / "config.yaml"
    file.write_text(f"model: !!python/object/apply:os.mkdir [{str(marker)!r}]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"not valid yaml.*python/object"):
        read_config(file)
    file.write_text(yaml.safe_dump(make_config(tmp_path)), encoding="utf-8")
    with pytest.raises(ConfigError, match="python/object"):
        read_config(file, [f"model=!!python/object/apply:os.mkdir [{str(marker)!r}]"])
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.yaml", b"", "expected keys and values, found NoneType"),
        ("a.yaml", b"- model\n", "expected keys and values, found list"),
        ("a.yaml", b"model: [\n", "not valid yaml"),
        ("a.json", b"{'model': 1}", "not valid json"),
        ("a.yaml", b"\xff\xfe\x00", "not a text file in UTF-8"),
    ],
)
def test_a_file_that_is_no_config(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    assert str(caught.value).startswith(f"{file}: {reason}") and "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        read_config(tmp_path)
