"""A plug-in that registers what it is given, and ways to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minidisc_plugin import hookimpl
from minidisc_plugin.contracts.records import ScheduleRecord
from minidisc_plugin.contracts.run import Step
from minidisc_plugin.contracts.scheduler import Schedule, Scheduler
from minidisc_plugin.objectives import KnowledgeDistillation
from minidisc_plugin.plugins import host
from minidisc_plugin.schedulers.direct import Direct
from tests.builders.tiny import make_bert

TEACHER, STUDENT, ASSISTANT = (make_bert(seed=seed) for seed in range(3))


class Acme:
    """A plug-in that registers what it is given."""

    def __init__(self, schedulers: Any = (), objectives: Any = (), steps: Any = ()) -> None:
        self.schedulers, self.objectives, self.steps = schedulers, objectives, steps

    @hookimpl
    def minidisc_register_schedulers(self) -> Any:
        return self.schedulers

    @hookimpl
    def minidisc_register_objectives(self) -> Any:
        return self.objectives

    @hookimpl
    def minidisc_register_steps(self) -> Any:
        return self.steps


@contextmanager
def registered(plugin: object = None, /, **things: Any) -> Iterator[None]:
    """A plug-in called acme, in the block."""
    plugin = plugin or Acme(**things)
    host().manager.register(plugin, "acme")
    try:
        yield
    finally:
        host().manager.unregister(plugin)
        host()._errors.clear()


def scheduler(**members: Any) -> type[Scheduler]:
    """A class like Direct, called odd, with other members."""
    return type("Odd", (Direct,), {"name": "odd", "__module__": __name__, **members})


def raising(error: BaseException) -> Callable[..., Any]:
    def method(*_: Any, **__: Any) -> Any:
        raise error

    return method


def giving(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


async def later(*_: Any, **__: Any) -> None:
    """Never runs."""


def endless(_: Any) -> Iterator[float]:
    while True:
        yield 0.5


def objective(**members: Any) -> type[KnowledgeDistillation]:
    return type("Odd", (KnowledgeDistillation,), {"name": "odd", **members})


def step(**members: Any) -> type[Step]:
    return type("Odd", (Step,), {"name": "odd", "run": giving(None), **members})


def record(**changes: Any) -> ScheduleRecord:
    given = {
        "scheduler": "odd",
        "metric": "accuracy",
        "rule": "by chance",
        "target_scale": 0.2,
        "target_sparsity": 0.8,
        "assistants": [],
        "candidates": [],
        **changes,
    }
    return ScheduleRecord.model_construct(**given)


def schedule(assistants: Any = (), student: Any = STUDENT, kept: Any = None, distilled: Any = False) -> Schedule:
    return Schedule(
        list(assistants) if isinstance(assistants, tuple) else assistants, student, kept or record(), distilled
    )
