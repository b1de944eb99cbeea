"""Keys about texts, which do nothing where examples are something else."""

from __future__ import annotations

from collections.abc import Iterator

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.inputs import NOT_TEXTS, SPEECH

_GROUPED = {"group_by_length": True, "train_sampling_strategy": "group_by_length"}


def refused_of_inputs(config: CompressionConfig) -> Iterator[str]:
    """Keys that ask for what a task without texts cannot do."""
    if config.task not in NOT_TEXTS:
        return
    why = f"is for texts, and task {config.task} reads {NOT_TEXTS[config.task].said} of one size; remove it"
    if config.task != SPEECH and config.max_length != CompressionConfig.model_fields["max_length"].default:
        yield f"max_length: {config.max_length} {why}"
    for key in ("padding", "tokens_per_batch"):
        if (given := getattr(config.engine, key)) is not None:
            yield f"engine.{key}: {given} {why}"
    for key, value in _GROUPED.items():
        if config.training.get(key) == value:
            yield f"training.{key}: {value} {why}"
    if copies := config.distillation.augment:
        yield f"distillation.augment: {copies} alters texts, and task {config.task} reads none; remove it"
