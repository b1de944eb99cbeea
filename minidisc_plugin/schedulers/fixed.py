"""`scheduler: fixed`: one assistant at a given scale, by default by the capacity-gap rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from minidisc_plugin.contracts.hookspecs import hookimpl
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.schedulers.candidates import conclude

if TYPE_CHECKING:
    from minidisc_plugin.contracts.workbench import Workbench

CAPACITY_GAP = 2.5


class Fixed(Scheduler):
    """Distil an assistant of a given scale from the teacher, and the student from it."""

    name = "fixed"

    scale: float | None = Field(
        None, description=f"Scale of the assistant. Default: {CAPACITY_GAP} times the student's (capacity-gap rule)."
    )

    def candidate_scales(self) -> tuple[float, ...]:
        """See Scheduler."""
        scale = round(CAPACITY_GAP * self.target_scale, 6) if self.scale is None else self.scale
        if not self.target_scale < scale < 1:
            source = "" if self.scale is not None else f" ({CAPACITY_GAP} times the student's scale)"
            raise ConfigError(
                f"scheduler_config.scale: {scale:g}{source} is not strictly between the student's "
                f"({self.target_scale:g}) and the teacher's (1); give one that is"
            )
        return (scale,)

    def stages(self) -> list[PlannedStage]:
        """See Scheduler."""
        (scale,) = self.candidate_scales()
        return [
            PlannedStage("assistant", 1.0, {scale: 1.0}),
            PlannedStage("student", scale, {self.target_scale: 1.0}),
        ]

    def run(self, bench: Workbench) -> Schedule:
        """See Scheduler."""
        (scale,) = self.candidate_scales()
        nested = bench.ranked_network()
        candidates = bench.specify(self.name, nested, [scale])
        nested.trim(scale)
        bench.train(nested, [scale], bench.teacher, "assistant")
        return conclude(
            self,
            bench,
            candidates=bench.evaluate(nested, candidates, self.name),
            chosen=[scale],
            assistants=[nested.extract(scale)],
            student=nested.extract(self.target_scale),
            rule=f"the scale {scale:g}, given" if self.scale else f"{CAPACITY_GAP} times the student's scale",
        )


@hookimpl
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    """Register this scheduler."""
    return [Fixed]
