"""Keys that do nothing beside others: refused where a run would be another than was meant, else said in a line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from minidisc_plugin.contracts.config import (
    CompressionConfig,
    DatasetConfig,
    EngineConfig,
    ExportConfig,
    QuantizationConfig,
)
from minidisc_plugin.contracts.values import Settings
from minidisc_plugin.foundation.errors import ConfigError

logger = logging.getLogger(__name__)

_SECTIONS: Mapping[str, Settings] = {"export": ExportConfig(), "quantization": QuantizationConfig()}
_STRATEGIES = {"eval_steps": "eval_strategy", "save_steps": "save_strategy", "logging_steps": "logging_strategy"}
_REPORTED = ("run_name", "logging_dir", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id")
_TOKENS = ("hub_token", "push_to_hub_token")


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
    for idle in _said(config, training):
        logger.warning(idle)


def _refused(config: CompressionConfig, training: Mapping[str, Any], settled: Mapping[str, Any]) -> Iterator[str]:
    for name, untouched in _SECTIONS.items():
        # A step of somebody else's may read the section, too.
        if name not in config.steps and set(config.steps) <= _SECTIONS.keys() and getattr(config, name) != untouched:
            yield f"{name}: its settings do nothing without the step; add {name} to steps, or remove them"
    yield from _refused_of_the_dataset(config.dataset)
    patience = config.early_stopping_patience
    evaluated = settled.get("eval_strategy", "epoch" if patience else "no")
    if patience and evaluated in ("no", False):
        yield "early_stopping_patience: nothing is evaluated with training.eval_strategy: no; remove one of them"
    saved = "save_strategy" in training and settled["save_strategy"] not in ("no", False)
    strategies = {
        "eval_strategy": evaluated,
        "save_strategy": evaluated if patience and not saved else settled["save_strategy"],
        "logging_strategy": settled.get("logging_strategy", "steps"),
    }
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


def _refused_of_the_dataset(settings: DatasetConfig) -> Iterator[str]:
    """Keys of data sets on the Hub, beside a format or a folder: another data set than was meant would be read."""
    if settings.revision is None and settings.name is None:
        return
    kind = f"the format {settings.path}" if _is_format(settings.path) else "a folder"
    if settings.revision is not None and (kind != "a folder" or Path(settings.path).is_dir()):
        yield f"dataset.revision: does nothing beside {kind}, which has no versions; remove it"
    if settings.name is not None and kind != "a folder":
        yield f"dataset.name: does nothing beside {kind}, which has no configurations; remove it"


def _is_format(path: str) -> bool:
    """Whether `datasets` takes a path for one of its own loaders."""
    return path.isidentifier() and find_spec(f"datasets.packaged_modules.{path}") is not None


def _said(config: CompressionConfig, training: Mapping[str, Any]) -> Iterator[str]:
    yield from _said_of_training(training)
    yield from _said_of_batches(config.engine, training)
    yield from _said_of_the_dataset(config.dataset)
    if config.engine.teacher_cache is False and config.engine.teacher_cache_dir is not None:
        yield "engine.teacher_cache_dir does nothing with engine.teacher_cache: false"
    if config.scheduler_config.get("sampling") == "all" and config.scheduler_config.get("random_candidates", 1) != 1:
        yield "scheduler_config.random_candidates does nothing with scheduler_config.sampling: all"
    static = {"openvino_int8", "inc_static"}
    calibrated = config.quantization.calibration_examples != QuantizationConfig().calibration_examples
    if calibrated and not static & set(config.quantization.schemes):
        yield "quantization.calibration_examples does nothing with schemes that calibrate nothing"


def _said_of_the_dataset(settings: DatasetConfig) -> Iterator[str]:
    given = settings.data_files
    if settings.data_dir is None or given is None or not _is_format(settings.path):
        return
    listed = chain.from_iterable(
        [files] if isinstance(files, str) else files
        for files in (given.values() if isinstance(given, dict) else [given])
    )
    if all(Path(file).is_absolute() or "://" in file for file in listed):
        yield "dataset.data_dir does nothing beside dataset.data_files whose paths are absolute"


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
    if training.get("report_to") in (None, [], ["none"]):
        for key in _REPORTED:
            if training.get(key) is not None:
                yield f"training.{key} does nothing without training.report_to"
    for key in _TOKENS:
        if training.get(key) is not None:
            yield f"training.{key} does nothing: a run pushes nothing to a Hub"
