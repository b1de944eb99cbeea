"""Keys that do nothing beside others: refused where the run would be another than was meant, else said in a line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments
from transformers.optimization import get_scheduler
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.presets import with_protocol
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.checks.idle import IDLE, check_idle
from minidisc_plugin.run.config.file import read_config
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
        ({}, {"distillation": {"augment_share": 0.2}}, "distillation.augment_share"),
        ({}, {"dataset": {**DATASET, "data_dir": "data"}}, "dataset.data_dir"),
        ({}, {"dataset": {**DATASET, "data_dir": "data", "data_files": ["/a.csv", "/b.csv"]}}, "dataset.data_dir"),
        ({"hub_token": "secret"}, {}, "training.hub_token"),
        (
            {"report_to": "wandb", "logging_dir": "logs"},
            {},
            "training.logging_dir does nothing without training.report_",
        ),
        (
            {"report_to": ["wandb"], "project": "mine"},
            {},
            "training.project does nothing without training.report_to: t",
        ),
        (
            {"lr_scheduler_type": "constant", "warmup_ratio": 0.2},
            {},
            "training.warmup_ratio does nothing with training.",
        ),
        (
            {"lr_scheduler_type": "constant", "warmup_steps": 5},
            {},
            "training.warmup_steps does nothing with training.lr",
        ),
        ({"lr_scheduler_type": "reduce_lr_on_plateau", "warmup_steps": 5}, {}, "training.warmup_steps"),
        ({"lr_scheduler_type": "constant", "lr_scheduler_kwargs": {"a": 1}}, {}, "training.lr_scheduler_kwargs"),
        (
            {"optim": "adafactor", "adam_beta1": 0.8},
            {},
            "training.adam_beta1 does nothing with training.optim: 'adafac",
        ),
        ({"optim": "sgd", "adam_beta2": 0.8}, {}, "training.adam_beta2 does nothing with training.optim: 'sgd'"),
        ({"optim": "lion_32bit", "adam_epsilon": 1e-7}, {}, "training.adam_epsilon"),
        ({"eval_delay": 3}, {}, "training.eval_delay does nothing with training.eval_strategy: 'no'"),
        ({"save_strategy": "no", "save_total_limit": 3}, {}, "training.save_total_limit"),
        ({"dataloader_in_order": False}, {}, "training.dataloader_in_order"),
        ({}, {"scheduler_config": {"sampling": "all", "random_candidates": 2}}, "scheduler_config.random_candidates"),
        ({}, {"scheduler_config": {"rule": "gap", "halving": True}}, "scheduler_config.halving does nothing"),
        ({}, {"scheduler": "direct", "distillation": {"guide": "both"}}, "distillation.guide does nothing"),
        (
            {},
            {"steps": ["quantization"], "quantization": {"schemes": ["inc_dynamic"], "calibration_examples": 9}},
            "quantization.calibration_examples",
        ),
        (
            {},
            {"steps": [], "quantization": {"schemes": ["openvino_static"]}},
            "quantization: its settings do nothing",
        ),
        ({}, {"steps": [], "export": {"formats": ["onnx"]}}, "export: its settings do nothing with steps: []"),
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
        ({"report_to": ["tensorboard", "wandb"], "logging_dir": "logs"}, {}),
        ({"report_to": "all", "logging_dir": "logs"}, {}),
        ({"lr_scheduler_type": "constant"}, {}),
        ({"lr_scheduler_type": "constant", "warmup_ratio": 0}, {}),
        ({"lr_scheduler_type": "constant", "warmup_steps": 5, "optim": "schedule_free_adamw"}, {}),
        ({"lr_scheduler_type": "cosine", "warmup_steps": 5, "lr_scheduler_kwargs": {"num_cycles": 1}}, {}),
        ({"optim": "adafactor"}, {}),
        ({"dataloader_in_order": True, "eval_delay": 0}, {}),
        ({"adam_beta1": 0.8, "adam_epsilon": 1e-7}, {}),
        ({"optim": "lion_32bit", "adam_beta1": 0.8}, {}),
        ({"eval_delay": 3}, {"early_stopping_patience": 2}),
        ({"eval_delay": 3, "eval_strategy": "epoch"}, {}),
        ({"save_strategy": "no", "save_total_limit": 3}, {"early_stopping_patience": 2}),
        ({"dataloader_in_order": False, "dataloader_num_workers": 2}, {}),
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


def said_to_be_idle(key: str, other: str, value: str) -> bool:
    return any(key in row.keys and row.other == other and value in row.values for row in IDLE)


@pytest.mark.parametrize("key", ["adam_beta1", "adam_beta2", "adam_epsilon"])
def test_the_table_says_of_optimizers_what_transformers_does(key: str, tmp_path: Path) -> None:
    model, compared = torch.nn.Linear(2, 2), set()

    def options(optim: str, **changes: float) -> str:
        args = TrainingArguments(str(tmp_path), optim=optim, report_to="none", use_cpu=True, **changes)
        return str(Trainer.get_optimizer_cls_and_kwargs(args, model)[1])

    for optim in (name.value for name in OptimizerNames):
        try:
            usual = options(optim)
        except (ImportError, ValueError, NameError):  # its package is not here
            continue
        assert (options(optim, **{key: 0.5}) == usual) == said_to_be_idle(key, "optim", optim), optim
        compared.add(optim)
    assert {"adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop"} <= compared


@pytest.mark.parametrize("schedule", [kind.value for kind in SchedulerType])
def test_the_table_says_of_schedules_what_transformers_does(schedule: str) -> None:
    needed = {
        "cosine_with_min_lr": {"min_lr": 0.0},
        "cosine_warmup_with_min_lr": {"min_lr": 0.0},
        "warmup_stable_decay": {"num_decay_steps": 2},
    }.get(schedule)

    def first_rate(warmup: int) -> float:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        get_scheduler(schedule, optimizer, warmup, 20, scheduler_specific_kwargs=needed)
        return float(optimizer.param_groups[0]["lr"])

    assert (first_rate(5) == first_rate(0)) == said_to_be_idle("warmup_steps", "lr_scheduler_type", schedule)

    def fails(**wrong: Any) -> bool:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        try:
            get_scheduler(schedule, optimizer, 5, 20, scheduler_specific_kwargs={**(needed or {}), **wrong})
        except TypeError:
            return True
        return False

    assert fails(words=1) != said_to_be_idle("lr_scheduler_kwargs", "lr_scheduler_type", schedule)


@pytest.mark.parametrize("name", ["demo", "intel"])
def test_the_direct_runs_of_the_examples_are_let_through(name: str) -> None:
    """`make demo` and the README of the Intel example compare with a run that has no steps."""
    file = Path(__file__).resolve().parents[3] / "examples" / name / "compression.yaml"
    check_idle(with_protocol(read_config(file, ["scheduler=direct", "steps=[]"])), DEFAULTS)
