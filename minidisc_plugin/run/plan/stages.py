"""The training stages of a run: those of its scheduler, the student's guided as `distillation.guide` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.scheduler import owned
from minidisc_plugin.plugins.schedulers import stages_of
from minidisc_plugin.run.good_enough import tried_at_worst

if TYPE_CHECKING:
    from minidisc_plugin.contracts.run import Prepared
    from minidisc_plugin.contracts.scheduler import PlannedStage


def planned_stages(prepared: Prepared) -> list[PlannedStage]:
    """Every stage of a run, in order; of a search, those where no student is good enough: others cost less."""
    targets = [scheduler.target_scale for scheduler in prepared.students]
    stages = guided(stages_of(*prepared.students), prepared.config.distillation.guide, *targets)
    if not prepared.searches:
        return stages
    made = {"", *(f"{target:g}" for target in tried_at_worst(targets))}
    return [stage for stage in stages if owned(stage.name)[1] in made]


def guided(stages: Sequence[PlannedStage], guide: str, *targets: float) -> list[PlannedStage]:
    """Stages, those of a standalone student at one of the scales guided so where they follow an assistant."""
    alone = [[target] for target in targets]
    return [_guided(stage, guide) if list(stage.passes) in alone else stage for stage in stages]


def _guided(stage: PlannedStage, guide: str) -> PlannedStage:
    if guide == "assistant" or stage.teacher_scale == 1.0:
        return stage
    return replace(stage, teacher_scale=1.0, beside_scale=stage.teacher_scale if guide == "both" else None)
