"""`distillation.objective`: the objective of a run, and whether it fits its settings, the task and the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.foundation.processes import process_count
from minidisc_plugin.plugins import pick
from minidisc_plugin.plugins.guarded import make_objective

if TYPE_CHECKING:
    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.distillation import DistillationConfig
    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.contracts.run import Prepared


def check_objective(config: CompressionConfig) -> None:
    """Refuse an objective that is unknown, or that does not fit its own settings, the task or the training.

    Raises:
        ConfigError: names the key and the remedy.
    """
    name = config.distillation.objective
    kind = pick("objective", name, "distillation.objective").item
    kind.read_own(config.distillation)
    if kind.tasks is not None and config.task not in kind.tasks:
        raise ConfigError(
            f"distillation.objective: {name!r} is for task {', '.join(sorted(kind.tasks))}, not for {config.task}; set "
            "distillation.objective: minidisc"
        )
    _check_domains(config, kind)
    if kind.needs_attentions and config.engine.teacher_cache is True:
        raise ConfigError(
            f"engine.teacher_cache: true: attention weights, which distillation.objective: {name} compares, are not "
            "kept; remove it"
        )
    if kind.needs_second_derivatives:
        if process_count() > 1:
            raise ConfigError(
                f"distillation.objective: {name!r} takes derivatives that processes do not share; start one, or set "
                "distillation.objective: minidisc"
            )
        for key in ("gradient_checkpointing", "activation_checkpointing"):
            if config.training.get(key):
                raise ConfigError(
                    f"training.{key}: activations that are computed again have no second derivative, which "
                    f"distillation.objective: {name} takes; remove it"
                )


def _check_domains(config: CompressionConfig, kind: type[Objective]) -> None:
    name, column = config.distillation.objective, config.dataset.domain
    if kind.reads_domains and column is None:
        raise ConfigError(
            f"distillation.objective: {name!r} weighs domains: name the column that holds each text's in "
            "dataset.domain, or set distillation.objective: minidisc"
        )
    if column is not None and not kind.reads_domains:
        raise ConfigError(
            f"dataset.domain: {shown(column)} does nothing with distillation.objective: {name}; remove it, or set "
            "distillation.objective: hrkd"
        )
    if kind.reads_domains and config.engine.tokens_per_batch is not None:
        raise ConfigError(
            f"engine.tokens_per_batch: {config.engine.tokens_per_batch} beside distillation.objective: {name}: batches "
            "have an equal share of every domain, and so a number of texts; remove it"
        )


def objective_of(prepared: Prepared) -> Objective:
    """The objective of a checked run."""
    settings = prepared.config.distillation
    registered = pick("objective", settings.objective, "distillation.objective")
    return make_objective(registered, settings, regression=prepared.task.regression(prepared.teacher.config))


def check_lessons(config: CompressionConfig, objective: Objective) -> None:
    """Refuse a stage before the others that would have to be sharded.

    Raises:
        ConfigError: names the key.
    """
    from minidisc_plugin.training.sharding import wants_sharding

    if objective.epochs_before > 0 and wants_sharding(config.training):
        raise ConfigError(
            f"training.fsdp: what distillation.objective: {config.distillation.objective} learns before a stage is not "
            "sharded; remove it"
        )


def with_own_defaults(settings: DistillationConfig) -> DistillationConfig:
    """The section with every default of the objective's own settings filled in."""
    own = pick("objective", settings.objective, "distillation.objective").item.read_own(settings)
    return settings if own is None else settings.with_own(own.model_dump(mode="json", by_alias=True, exclude_none=True))
