"""Keys that do nothing beside others: refused where the run would be another than was meant, else said in a line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.presets import with_protocol
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.checks.idle import check_idle
from minidisc_plugin.training.arguments import DEFAULTS, with_defaults
from tests.builders.tiny import make_config

DATASET = {"path": "csv", "data_files": {"train": "/data/train.csv"}, "text": "sentence"}


def check(training: dict[str, Any], **changes: Any) -> None:
    config = with_protocol(validate(CompressionConfig, make_config(Path("runs"), training=training, **changes)))
    check_idle(config, DEFAULTS)


@pytest.mark.parametrize(
    ("training", "changes", "parts"),
    [
        ({}, {"export": {"formats": ["onnx"]}}, ("export: ", "add export to steps")),
        ({}, {"export": {"formats": ["onnx"]}, "steps": ["quantization"]}, ("export: ",)),
        ({}, {"quantization": {"calibration_examples": 9}, "steps": ["export"]}, ("quantization: ", "steps")),
        ({"eval_strategy": "no"}, {"early_stopping_patience": 2}, ("early_stopping_patience: ", "eval_strategy")),
        ({"eval_strategy": False}, {"early_stopping_patience": 2}, ("early_stopping_patience: ",)),
        ({"eval_steps": 5}, {}, ("training.eval_steps: ", "training.eval_strategy: steps")),
        ({"eval_steps": 5}, {"early_stopping_patience": 2}, ("training.eval_steps: ",)),
        ({"eval_steps": 5, "eval_strategy": "epoch"}, {}, ("training.eval_steps: ",)),
        ({"save_steps": 100}, {}, ("training.save_steps: ", "training.save_strategy: steps")),
        ({"save_steps": 100, "save_strategy": "no"}, {}, ("training.save_steps: ",)),
        ({"logging_steps": 7, "logging_strategy": "epoch"}, {}, ("training.logging_steps: ",)),
        ({"warmup_steps": 7, "warmup_ratio": 0.2}, {}, ("training.warmup_ratio: ", "training.warmup_steps")),
        ({"gradient_checkpointing_kwargs": {"use_reentrant": True}}, {}, ("training.gradient_checkpointing_kwargs: ",)),
        ({"fsdp_config": {"version": 2}}, {}, ("training.fsdp_config: ", "training.fsdp: true")),
        ({}, {"dataset": {**DATASET, "revision": "main"}}, ("dataset.revision: ", "the format csv", "remove it")),
        ({}, {"dataset": {**DATASET, "path": "json", "name": "mrpc"}}, ("dataset.name: ", "the format json")),
        ({}, {"dataset": {**DATASET, "path": ".", "revision": "main"}}, ("dataset.revision: ", "a folder")),
    ],
    ids=str,
)
def test_a_run_that_would_not_be_the_one_meant_is_refused(
    training: dict[str, Any], changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        check(training, **changes)
    message = str(caught.value)
    assert message.startswith(parts[0]) and "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("training", "changes", "said"),
    [
        ({"max_steps": 5, "num_train_epochs": 2}, {}, "training.num_train_epochs"),
        ({"group_by_length": False}, {"engine": {"tokens_per_batch": 99}}, "training.group_by_length"),
        ({"per_device_train_batch_size": 4}, {"engine": {"tokens_per_batch": 99}}, "training.per_device_train_batch"),
        ({"dataloader_drop_last": True}, {"engine": {"tokens_per_batch": 99}}, "training.dataloader_drop_last"),
        ({}, {"engine": {"teacher_cache": False, "teacher_cache_dir": "cache"}}, "engine.teacher_cache_dir"),
        ({"run_name": "first"}, {}, "training.run_name"),
        ({}, {"dataset": {**DATASET, "data_dir": "data"}}, "dataset.data_dir"),
        ({}, {"dataset": {**DATASET, "data_dir": "data", "data_files": ["/a.csv", "/b.csv"]}}, "dataset.data_dir"),
        ({"hub_token": "secret"}, {}, "training.hub_token"),
        ({}, {"scheduler_config": {"sampling": "all", "random_candidates": 2}}, "scheduler_config.random_candidates"),
        (
            {},
            {"steps": ["quantization"], "quantization": {"schemes": ["inc_dynamic"], "calibration_examples": 9}},
            "quantization.calibration_examples",
        ),
    ],
    ids=str,
)
def test_what_a_key_does_not_do_is_said(
    training: dict[str, Any], changes: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        check(training, **changes)
    (record,) = caplog.records
    assert record.getMessage().startswith(said) and "secret" not in record.getMessage()


@pytest.mark.parametrize(
    ("training", "changes"),
    [
        ({}, {}),
        ({}, {"export": {}, "quantization": {"calibration_examples": 256}}),
        ({}, {"export": {"formats": ["onnx"]}, "steps": ["export"]}),
        ({}, {"export": {"formats": ["onnx"]}, "steps": ["a-step-of-somebody-elses"]}),
        ({}, {"early_stopping_patience": 2}),
        ({"save_steps": 5, "eval_steps": 5, "eval_strategy": "steps"}, {"early_stopping_patience": 2}),
        ({"save_steps": 5, "save_strategy": "steps", "logging_steps": 1}, {}),
        ({"max_steps": -1, "num_train_epochs": 2}, {}),
        ({"report_to": "tensorboard", "run_name": "first"}, {}),
        ({}, {"protocol": "published"}),
        ({}, {"dataset": {**DATASET, "data_dir": "data", "data_files": {"train": "train.csv"}}}),
        ({}, {"dataset": {"path": "csv", "data_dir": "data", "text": "sentence"}}),
        ({}, {"dataset": {"path": "glue", "name": "mrpc", "revision": "main", "text": "sentence"}}),
        ({"logging_strategy": "epoch"}, {"protocol": "published", "early_stopping_patience": 2}),
    ],
    ids=str,
)
def test_a_resolved_config_says_nothing_that_its_config_did_not(
    training: dict[str, Any], changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "minidisc_plugin"):
        check(training, **changes)
        check(with_defaults(training), **changes)
    assert not caplog.records
