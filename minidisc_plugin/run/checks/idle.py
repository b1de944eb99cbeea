"""Keys that do nothing beside others: refused where a run would be another than was meant, else said in a line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from minidisc_plugin.contracts.config import (
    CompressionConfig,
    EngineConfig,
    ExportConfig,
    QuantizationConfig,
)
from minidisc_plugin.contracts.values import Settings
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.run.checks.idle_dataset import refused_of_dataset, said_of_dataset
from minidisc_plugin.run.checks.idle_inputs import refused_of_inputs

logger = logging.getLogger(__name__)

_SECTIONS: Mapping[str, Settings] = {"export": ExportConfig(), "quantization": QuantizationConfig()}
_STRATEGIES = {"eval_steps": "eval_strategy", "save_steps": "save_strategy", "logging_steps": "logging_strategy"}
_REPORTED = ("run_name", "logging_dir", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id")
_TOKENS = ("hub_token", "push_to_hub_token")


@dataclass(frozen=True)
class Idle:
    """Keys of `training` that do nothing beside a value of another one.

    Attributes:
        keys: Do nothing.
        other: The key that decides.
        values: Of that key.
        default: Its value where nobody gives one.
        quiet: Values of the keys that ask for nothing anyway.
        but: Another key and its values with which they do something all the same.
    """

    keys: tuple[str, ...]
    other: str
    values: tuple[Any, ...]
    default: Any = None
    quiet: tuple[Any, ...] = ()
    but: tuple[str, tuple[Any, ...]] = ("", ())


_NO = ("no", False)
_PLAIN = ("adafactor", "sgd", "adagrad", "rmsprop", "rmsprop_bnb", "rmsprop_bnb_8bit", "rmsprop_bnb_32bit")
_OWN = ("grokadamw", "schedule_free_sgd", "galore_adamw", "galore_adamw_8bit", "galore_adafactor")
_LION = ("lion_32bit", "lion_8bit", "paged_lion_32bit", "paged_lion_8bit")
# Newer releases hand them on.
_WITHOUT_KWARGS = ("inverse_sqrt",) if version("transformers").startswith("4.") else ()

# As transformers makes optimizers (Trainer.get_optimizer_cls_and_kwargs), schedules (get_scheduler) and evaluations.
IDLE: tuple[Idle, ...] = (
    Idle(
        ("warmup_ratio", "warmup_steps"),
        "lr_scheduler_type",
        ("constant", "reduce_lr_on_plateau", "greedy"),
        quiet=(0,),
        but=("optim", ("schedule_free_adamw", "schedule_free_sgd")),
    ),
    Idle(
        ("lr_scheduler_kwargs",),
        "lr_scheduler_type",
        ("constant", "constant_with_warmup", *_WITHOUT_KWARGS),
        quiet=({},),
    ),
    Idle(("adam_beta1", "adam_beta2"), "optim", (*_PLAIN, *_OWN)),
    Idle(("adam_epsilon",), "optim", (*_PLAIN, *_OWN, *_LION)),
    Idle(("eval_delay",), "eval_strategy", _NO, default="no", quiet=(0,)),
    Idle(("save_total_limit", "save_on_each_node"), "save_strategy", _NO, quiet=(False,)),
    Idle(("dataloader_in_order",), "dataloader_num_workers", (0,), default=0, quiet=(True,)),
)
# Keys that one reporter reads.
_READERS = {
    "logging_dir": "tensorboard",
    **dict.fromkeys(("project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"), "trackio"),
}


def check_idle(config: CompressionConfig, defaults: Mapping[str, Any]) -> None:
    """Refuse or tell what a config asks for and will not get.

    Args:
        config: As its protocol completes it.
        defaults: Of the section `training`; a resolved config holds them, so that they say nothing.

    Raises:
        ConfigError: names the key, and the one that it goes with.
    """
    training = {key: value for key, value in config.training.items() if defaults.get(key) != value}
    for problem in _refused(config, training, {**defaults, **config.training}):
        raise ConfigError(problem)
    for idle in _said(config, training, {**defaults, **config.training}):
        logger.warning(idle)


def _refused(config: CompressionConfig, training: Mapping[str, Any], settled: Mapping[str, Any]) -> Iterator[str]:
    if config.steps or "steps" not in config.model_fields_set:  # `--set steps=[]` beside settings is meant
        for name in _without_step(config):
            yield f"{name}: its settings do nothing without the step; add {name} to steps, or remove them"
    yield from refused_of_dataset(config.dataset)
    yield from refused_of_inputs(config)
    strategies = _strategies(config, training, settled)
    if config.early_stopping_patience and strategies["eval_strategy"] in _NO:
        yield "early_stopping_patience: nothing is evaluated with training.eval_strategy: no; remove one of them"
    for key, strategy in _STRATEGIES.items():
        if training.get(key) is not None and strategies[strategy] != "steps":
            yield f"training.{key}: does nothing without training.{strategy}: steps; set that, or remove the key"
    if "warmup_steps" in training and "warmup_ratio" in training:
        yield "training.warmup_ratio: training.warmup_steps is given, too; remove one of them"
    checkpointing = training.get("gradient_checkpointing") or training.get("activation_checkpointing")
    for key in ("gradient_checkpointing_kwargs", "activation_checkpointing_kwargs"):
        if training.get(key) and not checkpointing:
            yield f"training.{key}: does nothing without training.gradient_checkpointing: true"
    if training.get("fsdp_config") and not training.get("fsdp") and "ACCELERATE_USE_FSDP" not in os.environ:
        yield "training.fsdp_config: does nothing without training.fsdp: true; set that, or remove the key"


def _without_step(config: CompressionConfig) -> list[str]:
    """Sections with settings of steps that the config does not have."""
    if not set(config.steps) <= _SECTIONS.keys():  # a step of somebody else's may read a section, too
        return []
    return [
        name for name, untouched in _SECTIONS.items() if name not in config.steps and getattr(config, name) != untouched
    ]


def _strategies(config: CompressionConfig, training: Mapping[str, Any], settled: Mapping[str, Any]) -> dict[str, Any]:
    """When a run evaluates, saves and logs: early stopping evaluates, and saves where it does."""
    patience = config.early_stopping_patience
    evaluated = settled.get("eval_strategy", "epoch" if patience else "no")
    saved = "save_strategy" in training and settled["save_strategy"] not in _NO
    return {
        "eval_strategy": evaluated,
        "save_strategy": evaluated if patience and not saved else settled["save_strategy"],
        "logging_strategy": settled.get("logging_strategy", "steps"),
    }


def _said(config: CompressionConfig, training: Mapping[str, Any], settled: Mapping[str, Any]) -> Iterator[str]:
    yield from _said_of_training(training)
    yield from _said_of_others(training, {**settled, **_strategies(config, training, settled)})
    yield from _said_of_reporters(training)
    yield from _said_of_batches(config.engine, training)
    yield from said_of_dataset(config.dataset)
    for name in _without_step(config):
        yield f"{name}: its settings do nothing with steps: []"
    if config.distillation.guide != "assistant" and config.scheduler == "direct":
        yield "distillation.guide does nothing with scheduler: direct, which has no assistant"
    if "augment_share" in config.distillation.model_fields_set and not config.distillation.augment:
        yield "distillation.augment_share does nothing without distillation.augment"
    if config.engine.teacher_cache is False and config.engine.teacher_cache_dir is not None:
        yield "engine.teacher_cache_dir does nothing with engine.teacher_cache: false"
    if config.scheduler_config.get("sampling") == "all" and config.scheduler_config.get("random_candidates", 1) != 1:
        yield "scheduler_config.random_candidates does nothing with scheduler_config.sampling: all"
    if config.scheduler_config.get("rule", "lambda") != "lambda" and config.scheduler_config.get("halving"):
        yield f"scheduler_config.halving does nothing with scheduler_config.rule: {config.scheduler_config['rule']}"
    examples_given = config.quantization.calibration_examples != QuantizationConfig().calibration_examples
    if examples_given and not any(WAYS[scheme].calibrated for scheme in config.quantization.schemes):
        yield "quantization.calibration_examples does nothing with schemes that calibrate nothing"


def _said_of_batches(engine: EngineConfig, training: Mapping[str, Any]) -> Iterator[str]:
    if engine.tokens_per_batch is None:
        return
    for key in ("group_by_length", "train_sampling_strategy", "dataloader_drop_last"):
        if key in training:
            yield f"training.{key} does nothing beside engine.tokens_per_batch"
    if "per_device_train_batch_size" in training:
        yield "training.per_device_train_batch_size is for importance only, beside engine.tokens_per_batch"


def _said_of_training(training: Mapping[str, Any]) -> Iterator[str]:
    if training.get("max_steps", 0) > 0 and "num_train_epochs" in training:
        yield "training.num_train_epochs does nothing beside training.max_steps"
    for key in _TOKENS:
        if training.get(key) is not None:
            yield f"training.{key} does nothing: a run pushes nothing to a Hub"


def _said_of_others(training: Mapping[str, Any], settled: Mapping[str, Any]) -> Iterator[str]:
    """What the table knows of keys that were given."""
    for row in IDLE:
        value = settled.get(row.other, row.default)
        key, values = row.but
        if value not in row.values or settled.get(key) in values:
            continue
        for idle in row.keys:
            if training.get(idle) not in (None, *row.quiet):
                yield f"training.{idle} does nothing with training.{row.other}: {shown(value)}"


def _said_of_reporters(training: Mapping[str, Any]) -> Iterator[str]:
    reporters = training.get("report_to")
    reporters = reporters if isinstance(reporters, list) else [reporters]
    for key in _REPORTED:
        if training.get(key) is None:
            continue
        if set(reporters) <= {None, "none"}:
            yield f"training.{key} does nothing without training.report_to"
        elif key in _READERS and not {"all", _READERS[key]} & set(reporters):
            yield f"training.{key} does nothing without training.report_to: {_READERS[key]}"
