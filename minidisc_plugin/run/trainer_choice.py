"""`trainer`: what distils the student."""

from __future__ import annotations

from typing import Any

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.hosts import available, require
from minidisc_plugin.plugins import pick
from minidisc_plugin.training.sharding import wants_sharding

_WITH_LOSS = ("minidisc", "knowledge_distillation")


def choose_trainer(config: CompressionConfig, task: Task) -> str:
    """What the config says, or Optimum Intel's trainer where it can.

    Args:
        config: As read.
        task: What the student does.

    Raises:
        ConfigError: the config says `inc`, which cannot do it.
        HostError: the config says `inc`, and the host cannot work.
    """
    hosted = task.hosted
    if config.trainer == "inc" and not hosted:
        raise ConfigError(f"trainer: 'inc' has no loss for {task.said}; set trainer: transformers")
    sharded = wants_sharding(config.training)
    if config.trainer == "inc" and sharded:
        raise ConfigError("trainer: 'inc' does not shard by FSDP; set trainer: transformers, or remove training.fsdp")
    both = config.distillation.guide == "both" and config.scheduler != "direct"
    if config.trainer == "inc" and both:
        raise ConfigError(
            "distillation.guide: 'both' is two models, and trainer: 'inc' follows one; set trainer: transformers, or "
            "distillation.guide: teacher"
        )
    if config.trainer == "inc":
        _check_objective(config.distillation.objective)
        require("host", "inc")
    if config.trainer is not None:
        return config.trainer
    has_loss = config.distillation.objective in _WITH_LOSS
    can = hosted and not sharded and has_loss and not both
    return "inc" if can and available("host", "inc") else "transformers"


def _check_objective(name: str) -> None:
    """Refuse an objective that a host's training has no place for."""
    kind = pick("objective", name, "distillation.objective").item
    if kind.needs_our_loop():
        raise ConfigError(
            f"trainer: 'inc' has no place for what distillation.objective: {name} learns or differentiates beside the "
            "student; set trainer: transformers"
        )


def distiller_of(trainer: str | None) -> Any:
    """The class of the student's Trainer; None is the workbench's own."""
    if trainer != "inc":
        return None
    from minidisc_plugin.integrations.optimum.distiller import INCDistiller

    return INCDistiller
