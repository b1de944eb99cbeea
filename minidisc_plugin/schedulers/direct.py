"""`scheduler: direct`: no assistant; the student is distilled from the teacher itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.hookspecs import hookimpl
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.schedulers.candidates import conclude

if TYPE_CHECKING:
    from minidisc_plugin.contracts.workbench import Workbench


class Direct(Scheduler):
    """Distil the student from the teacher, without an assistant; what a config without a scheduler does."""

    name = "direct"

    def candidate_scales(self) -> tuple[float, ...]:
        """See Scheduler; there are none."""
        return ()

    def stages(self) -> list[PlannedStage]:
        """See Scheduler."""
        return [PlannedStage("student", 1.0, {self.target_scale: 1.0})]

    def run(self, bench: Workbench) -> Schedule:
        """See Scheduler."""
        nested = bench.ranked_network()
        student = nested.extract(self.target_scale)
        return conclude(self, bench, candidates=[], assistants=[], student=student, rule="no assistant")


@hookimpl
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    """Register this scheduler."""
    return [Direct]
