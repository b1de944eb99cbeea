"""The workbench of a script, for a host that trains on after the schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.foundation.errors import MinidiscError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.workbench import Workbench


class _Opened(MinidiscError):
    """No error: `Scheduler.schedule` has made the workbench, and goes no further."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self.bench = bench


class _Door(Scheduler):
    """Answers for a scheduler until it would run."""

    name = "door"
    _inner: Scheduler = PrivateAttr()

    def candidate_scales(self) -> tuple[float, ...]:
        return self._inner.candidate_scales()

    def stages(self) -> list[PlannedStage]:
        return self._inner.stages()

    def run(self, bench: Workbench) -> Schedule:
        raise _Opened(bench)


def workbench_of(scheduler: Scheduler, teacher: PreTrainedModel, **inputs: Any) -> Workbench:
    """The workbench that `scheduler.schedule(teacher, **inputs)` would work with; nothing has run yet.

    Raises:
        MinidiscError: a setting, the data, the metric or the model cannot be used.
    """
    door = _Door(target_sparsity=scheduler.target_sparsity, allocation=scheduler.allocation)
    door._inner = scheduler
    try:
        door.schedule(teacher, **inputs)
    except _Opened as opened:
        return opened.bench
    raise AssertionError("a door that ran")
