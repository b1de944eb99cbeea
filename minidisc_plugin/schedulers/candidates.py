"""What schedulers share: the grid of candidate scales, and the record of a choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from minidisc_plugin.contracts.records import Candidate, ScheduleRecord
from minidisc_plugin.contracts.scheduler import Schedule, Scheduler
from minidisc_plugin.schedulers.choosing import reasons
from minidisc_plugin.selection import TEACHER, Criterion, check_candidates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.workbench import Workbench

PUBLISHED_GRID = (0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def candidate_scales(given: Sequence[float] | None, target: float) -> tuple[float, ...]:
    """The given scales, checked, or those of the published grid that lie strictly between target and teacher.

    Raises:
        ConfigError: a given scale lies outside (target, 1), or twice in the list.
    """
    if given is not None:
        return check_candidates(given, target)
    grid = tuple(scale for scale in PUBLISHED_GRID if scale > target + 1e-6)
    return grid or (round((1 + target) / 2, 6),)


def conclude(
    scheduler: Scheduler,
    bench: Workbench,
    *,
    candidates: list[Candidate],
    assistants: list[PreTrainedModel],
    student: PreTrainedModel,
    rule: str = "",
    chosen: Sequence[float] = (),
    criterion: Criterion | None = None,
    distilled: bool = False,
    measured_on: Literal["candidate", "student"] = "candidate",
) -> Schedule:
    """Record and announce a choice; the chosen candidates are those of `chosen`, or marked `selected`.

    It was made by a criterion, or as the sentence `rule` says.
    """
    candidates = [
        candidate.model_copy(update={"selected": True}) if candidate.scale in chosen else candidate
        for candidate in candidates
    ]
    # The teacher is none of the assistants, though it may have been chosen among them.
    selected = [candidate for candidate in candidates if candidate.selected and candidate.scale != TEACHER]
    bench.announce("minidisc_assistant_selected", scheduler=scheduler.name, assistants=selected)
    record = ScheduleRecord(
        scheduler=scheduler.name,
        metric=bench.metric,
        measured_on=measured_on,
        **({"rule": rule} if criterion is None else reasons(candidates, criterion, bench.metric)),
        target_scale=scheduler.target_scale,
        target_sparsity=scheduler.target_sparsity,
        assistants=[candidate.scale for candidate in selected],
        guide=bench.guide,
        candidates=candidates,
        seconds=bench.journal.seconds,
    )
    return Schedule(assistants, student, record, distilled)
