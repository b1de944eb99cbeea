"""A config resolved: presets and plug-ins looked up once, and all that can be refused without loading anything."""

from __future__ import annotations

from dataclasses import dataclass

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.presets import with_protocol
from minidisc_plugin.contracts.run import Step
from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.redaction import remember
from minidisc_plugin.plugins import pick
from minidisc_plugin.plugins.guarded import make_step
from minidisc_plugin.plugins.schedulers import make_schedulers
from minidisc_plugin.run.checks.consent import check_consent
from minidisc_plugin.run.checks.idle import check_idle
from minidisc_plugin.run.checks.places import check_places
from minidisc_plugin.run.config.written import check_whole
from minidisc_plugin.run.good_enough import SPARSITIES
from minidisc_plugin.run.objective_choice import check_objective

_MAIN_STEPS = ("schedule", "distil", "report")
# No candidate's scale is out of place above it.
_SPARSEST = 0.999998


@dataclass(frozen=True)
class Resolved:
    """A config, and what its names stand for.

    Attributes:
        config: With what its protocol sets.
        students: The scheduler, with its settings, of each student, from the largest to the smallest; of a budget, for
            the smallest that can be, until the teacher tells the right one; of `max_loss`, of each that may be tried.
        steps: Pipeline steps in order.
        task: What the teacher does, as far as the config tells.
    """

    config: CompressionConfig
    students: tuple[Scheduler, ...]
    steps: list[Step]
    task: Task

    @property
    def scheduler(self) -> Scheduler:
        """That of the student; of several, that of the smallest, which has all candidates."""
        return self.students[-1]


def resolve(config: CompressionConfig) -> Resolved:
    """Look up what a config names; reads neither data nor models, and writes nothing.

    Args:
        config: As read.

    Raises:
        MinidiscError: something in it cannot be used; the message names it.
    """
    from minidisc_plugin.run.trainer_choice import choose_trainer
    from minidisc_plugin.tasks.registry import TASKS
    from minidisc_plugin.training.arguments import DEFAULTS
    from minidisc_plugin.training.keys import check_training

    remember(config.model_dump(mode="json"))
    check_whole(config)
    check_places(config)
    check_consent(config)
    config = with_protocol(config)
    check_training(config.training)
    check_idle(config, DEFAULTS)
    students = schedulers_of(config)
    steps = _steps(config)
    check_objective(config)
    task = TASKS[config.task]()
    choose_trainer(config, task)
    for step in steps:
        step.check(config)
    return Resolved(config, students, steps, task)


def schedulers_of(config: CompressionConfig) -> tuple[Scheduler, ...]:
    """The scheduler of a config, with checked settings, for each student, from the largest to the smallest.

    Raises:
        ConfigError: it is not installed, or a setting cannot be used.
    """
    searches = config.pruning.max_loss is not None
    sparsities = SPARSITIES if searches else config.pruning.sparsities or [_SPARSEST]
    return tuple(make_schedulers(config.scheduler, config.scheduler_config, sparsities, where_they_fit=searches))


def _steps(config: CompressionConfig) -> list[Step]:
    for name in _MAIN_STEPS:
        if name in config.steps:
            raise ConfigError(f"steps: {name!r} is part of every run; leave it out")
    *first, last = _MAIN_STEPS
    return [make_step(pick("step", name, "steps")) for name in (*first, *config.steps, last)]
