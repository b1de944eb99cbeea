"""The section `training` means the same on both generations of transformers; what cannot be used is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.training.arguments import DEFAULTS, for_stage, training_arguments, with_defaults

KNOWN = {field.name for field in dataclasses.fields(TrainingArguments)}


def make(folder: Path, settings: dict[str, Any], **options: Any) -> TrainingArguments:
    return training_arguments({"use_cpu": True, **settings}, folder, **options)


def groups_by_length(args: TrainingArguments) -> bool:
    if "train_sampling_strategy" in KNOWN:
        return args.train_sampling_strategy == "group_by_length"
    return bool(args.group_by_length)


@pytest.mark.parametrize(
    ("settings", "grouped"),
    [
        ({}, True),
        ({"group_by_length": True}, True),
        ({"group_by_length": False}, False),
        ({"train_sampling_strategy": "group_by_length"}, True),
        ({"train_sampling_strategy": "random"}, False),
    ],
    ids=str,
)
def test_batches_of_similar_length_by_either_name(settings: dict[str, Any], grouped: bool, tmp_path: Path) -> None:
    assert groups_by_length(make(tmp_path, settings)) is grouped


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 10),
        ({"warmup_ratio": 0.3}, 30),
        ({"warmup_steps": 0.3}, 30),
        ({"warmup_ratio": 0.0}, 0),
        ({"warmup_steps": 0}, 0),
        ({"warmup_steps": 7}, 7),
        ({"warmup_ratio": 0.3, "warmup_steps": 7}, 7),
    ],
    ids=str,
)
def test_warm_up_by_either_name(settings: dict[str, Any], steps: int, tmp_path: Path) -> None:
    assert make(tmp_path, settings).get_warmup_steps(100) == steps


def test_the_published_protocol_unless_told_otherwise(tmp_path: Path) -> None:
    args = make(tmp_path, {})
    assert (args.weight_decay, args.max_grad_norm) == (0.01, 5.0)
    assert args.report_to == [] and args.save_total_limit == 1
    changed = make(tmp_path, {"weight_decay": 0.5, "save_total_limit": 3, "num_train_epochs": 7})
    assert (changed.weight_decay, changed.save_total_limit, changed.num_train_epochs) == (0.5, 3, 7)
    assert changed.max_grad_norm == 5.0
    assert args.output_dir == str(tmp_path)


def test_recorded_settings_hold_defaults_but_not_twice() -> None:
    assert with_defaults({}) == DEFAULTS
    for new, old in (("warmup_steps", "warmup_ratio"), ("train_sampling_strategy", "group_by_length")):
        assert old in with_defaults({}) and new not in with_defaults({})
        found = with_defaults({new: "anything"})
        assert old not in found and found[new] == "anything"


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("learning_rat", "learning_rate"),
        ("num_epochs", "num_train_epochs"),
        ("warmup_ration", "warmup_ratio"),
        ("group_by_lenght", "group_by_length"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, nearest: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^training.{key}: unknown key; did you mean '{nearest}'"):
        make(tmp_path, {key: 1})


@pytest.mark.parametrize(
    "key",
    ["output_dir", "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "remove_unused_columns"],
)
def test_keys_that_the_pipeline_sets_are_refused(key: str, tmp_path: Path) -> None:
    assert key in KNOWN
    with pytest.raises(ConfigError, match=f"^training.{key}: the pipeline sets it"):
        make(tmp_path, {key: True})


@pytest.mark.parametrize(
    "settings",
    [
        {"warmup_steps": "many"},
        {"learning_rate": "fast"},
        {"num_train_epochs": "3"},
        {"lr_scheduler_type": "sideways"},
        {"save_strategy": "sometimes"},
        {"bf16": True, "fp16": True},
    ],
    ids=str,
)
def test_values_that_cannot_be_used_are_refused_in_one_line(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^training") as error:
        make(tmp_path, settings)
    assert "\n" not in str(error.value)


def test_patience_follows_the_metric_every_epoch(tmp_path: Path) -> None:
    args = make(tmp_path, {"save_strategy": "no"}, patience=2, metric="f1")
    assert args.load_best_model_at_end and args.metric_for_best_model == "f1" and args.greater_is_better
    assert args.eval_strategy == args.save_strategy == "epoch"
    assert not make(tmp_path, {}).load_best_model_at_end
    steps = {"eval_strategy": "steps", "eval_steps": 5, "save_steps": 10}
    args = make(tmp_path, steps, patience=2, metric="f1")
    assert args.eval_strategy == args.save_strategy == "steps" and (args.eval_steps, args.save_steps) == (5, 10)


def test_each_stage_has_a_folder_of_its_own(tmp_path: Path) -> None:
    args = make(tmp_path, {"seed": 5})
    stage = for_stage(args, "sandwich")
    assert stage.output_dir == str(tmp_path / "sandwich") and stage.seed == 5
    assert args.output_dir == str(tmp_path)
