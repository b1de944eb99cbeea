"""`scheduler: geometric`: one assistant at the geometric mean of the student's and the teacher's scale."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from minidisc_plugin import hookimpl
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.contracts.workbench import Workbench
from minidisc_plugin.schedulers.candidates import conclude


class Geometric(Scheduler):
    """Distil an assistant of scale `student ** exponent`, and the student from it."""

    name = "geometric"

    exponent: float = Field(
        0.5, gt=0, lt=1, description="0.5 is the geometric mean of the student's scale and the teacher's (1)."
    )

    def candidate_scales(self) -> tuple[float, ...]:
        """The one scale that is tried."""
        return (round(self.target_scale**self.exponent, 6),)

    def stages(self) -> list[PlannedStage]:
        """For `minidisc plan`: the assistant follows the teacher, the student follows the assistant."""
        (scale,) = self.candidate_scales()
        return [
            PlannedStage("assistant", 1.0, {scale: 1.0}),
            PlannedStage("student", scale, {self.target_scale: 1.0}),
        ]

    def run(self, bench: Workbench) -> Schedule:
        """Rank the teacher, train its slice, and hand over assistant and student."""
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
            rule=f"the student's scale to the power of {self.exponent:g}",
        )


@hookimpl
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    """Called by the host; the function's name is the hook's."""
    return [Geometric]
