"""`scheduler: maxidisc`: every candidate is tried to the end; the best student wins."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from minidisc_plugin.contracts.hookspecs import hookimpl
from minidisc_plugin.contracts.scheduler import PlannedStage, Schedule, Scheduler
from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.schedulers.candidates import candidate_scales, conclude

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.workbench import Workbench


class MaxiDisc(Scheduler):
    """Distil teacher to assistant to student once per candidate; the reference that MiniDisc is measured against.

    A candidate's metric is that of the student distilled through it, on the selection split.
    """

    name = "maxidisc"

    candidates: list[float] | None = Field(
        None, description="Scales to try. Default: tenths from 0.7 down, strictly above the student's scale."
    )

    def candidate_scales(self) -> tuple[float, ...]:
        """See Scheduler."""
        return candidate_scales(self.candidates, self.target_scale)

    def stages(self) -> list[PlannedStage]:
        """See Scheduler."""
        stages = []
        for scale in self.candidate_scales():
            stages.append(PlannedStage(_stage(scale, "assistant"), 1.0, {scale: 1.0}))
            stages.append(PlannedStage(_stage(scale, "student"), scale, {self.target_scale: 1.0}))
        return stages

    def run(self, bench: Workbench) -> Schedule:
        """See Scheduler."""
        candidates = bench.specify(self.name, bench.ranked_network(), self.candidate_scales())
        best: tuple[float, PreTrainedModel, PreTrainedModel] | None = None
        raw = []
        for candidate in candidates:
            assistant, student = self._trial(bench, candidate.scale)
            stage = _stage(candidate.scale, "selection")
            if not bench.journal.finished(stage):
                with bench.journal.stage(stage) as result:
                    result["metric"] = bench.metric_of(student, stage)
            metric = bench.journal.result(stage)["metric"]
            raw.append(metric)
            # Candidates come from the largest; of equal students the one of the smaller assistant wins.
            if math.isfinite(metric) and (best is None or metric >= best[0]):
                best = (metric, assistant, student)
                winner = candidate.scale
        if best is None:
            raise MetricError(f"metric: {bench.metric} is not finite for any student, so none can be chosen")
        return conclude(
            self,
            bench,
            candidates=bench.record_metrics(candidates, raw, self.name),
            chosen=[winner],
            assistants=[best[1]],
            student=best[2],
            rule=f"largest {bench.metric} of the student distilled through the candidate",
            distilled=True,
            measured_on="student",
        )

    def _trial(self, bench: Workbench, scale: float) -> tuple[PreTrainedModel, PreTrainedModel]:
        nested = bench.ranked_network()
        nested.trim(scale)
        bench.train(nested, [scale], bench.teacher, _stage(scale, "assistant"))
        assistant, student = nested.extract(scale), nested.extract(self.target_scale)
        bench.distil(student, assistant, _stage(scale, "student"))
        return assistant, student


def _stage(scale: float, part: str) -> str:
    return f"trial-{scale:g}-{part}"


@hookimpl
def minidisc_register_schedulers() -> Iterable[type[Scheduler]]:
    """Register this scheduler."""
    return [MaxiDisc]
