"""`pruning.max_loss`: the smallest student that is good enough, found by bisection over scales.

A student is good enough that loses no more of the metric than it may, against the teacher and on a split that trained
neither, in so many draws of a paired bootstrap as `pruning.confidence` says. Nothing is judged on the reported split.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from minidisc_plugin.contracts.amounts import share_in
from minidisc_plugin.contracts.budget import Budget, Search, Tried
from minidisc_plugin.contracts.scheduler import Schedule, Scheduler, owned
from minidisc_plugin.selection import range_of
from minidisc_plugin.selection.metric_range import MetricRange

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.config import PruningConfig
    from minidisc_plugin.contracts.workbench import Workbench

logger = logging.getLogger(__name__)

# Of the students among which the smallest is looked for.
SCALES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
SPARSITIES = tuple(round(1 - scale, 6) for scale in SCALES)

_STAGE = "comparison"
_ROUNDING = 1e-9

One = TypeVar("One")


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Attributes:
        scheduler: Of the student.
        schedule: How its assistants were chosen; it is distilled to the end.
        budget: What was asked, and which students were tried.
    """

    scheduler: Scheduler
    schedule: Schedule
    budget: Budget


def tried_at_worst(students: Sequence[One]) -> list[One]:
    """Of students, from the largest to the smallest, those that are made where none is good enough."""
    found: list[One] = []

    def refused(student: One) -> bool:
        found.append(student)
        return False

    _bisect(students, refused)
    return found


def smallest_good_enough(
    students: Sequence[Scheduler],
    bench: Workbench,
    choose: Callable[[Scheduler], Schedule],
    pruning: PruningConfig,
    validation: Dataset | None,
) -> Found:
    """Make a few students, and take the smallest that is good enough; where none is, that which loses least.

    Each is made once: of a run that goes on, and of one with another `max_loss`, those that were made already are
    looked up.

    Args:
        students: Schedulers, from the largest student to the smallest.
        bench: The means.
        choose: What `decide_each` gave.
        pruning: The section of the config.
        validation: What students and teacher are compared on; without it, the selection split.
    """
    where, split = _compared_on(validation, bench.selection_dataset)
    teacher, drawn = bench.redrawn(bench.teacher, _STAGE, split)
    known = range_of([teacher], bench.metric, bench.metric_range)
    schedules: dict[float, Schedule] = {}  # of the best so far
    tried: list[Tried] = []

    def is_good_enough(scheduler: Scheduler) -> bool:
        scale, own = scheduler.target_scale, bench.of(scheduler.target_scale)
        schedule = None
        if not own.journal.finished(_STAGE):
            schedule = _made(scheduler, bench, choose)
            own.redrawn(schedule.student, _STAGE, split)
        kept = own.journal.result(_STAGE)
        spent = sum(seconds for stage, seconds in bench.journal.seconds.items() if owned(stage)[1] == f"{scale:g}")
        one = _compared(scale, kept["metric"], kept["resampled"], teacher, drawn, known, pruning, round(spent, 3))
        tried.append(one)
        if _best(tried) is one:
            schedules.clear()
            if schedule is not None:
                schedules[scale] = schedule
        logger.info("student of scale %g: %s %.4g on %s, the teacher %.4g: %s", *_told(one, bench, where, teacher))
        return one.good_enough

    _bisect(students, is_good_enough)
    best = _best(tried)
    if not best.good_enough:
        logger.warning(
            "pruning.max_loss: %s: no student is good enough; the one of scale %g, which loses least, is taken",
            pruning.max_loss,
            best.scale,
        )
    chosen = next(one for one in students if one.target_scale == best.scale)
    search = Search(
        split=where, examples=len(split), teacher=_known(teacher), range=(known.low, known.high), tried=tuple(tried)
    )
    return Found(
        chosen,
        schedules.get(best.scale) or _made(chosen, bench, choose),
        Budget(asked=pruning.asked, target_sparsity=chosen.target_sparsity, search=search),
    )


def distil(schedule: Schedule, bench: Workbench) -> None:
    """Train the student of a schedule to the end, unless its scheduler has.

    Args:
        schedule: Its student is trained in place.
        bench: The means; of one of several students, its own.
    """
    if not schedule.distilled:
        bench.distil(schedule.student, schedule.assistant or bench.teacher, "student")
        schedule.distilled = True


def _made(scheduler: Scheduler, bench: Workbench, choose: Callable[[Scheduler], Schedule]) -> Schedule:
    schedule = choose(scheduler)
    distil(schedule, bench.of(scheduler.target_scale))
    return schedule


def _compared_on(validation: Dataset | None, selection: Dataset) -> tuple[str, Dataset]:
    """A split that trained no student, and its name."""
    if validation is not None:
        return "validation", validation
    logger.warning(
        "pruning.max_loss: there is no validation split beside the reported one, so students are compared with the "
        "teacher on the selection split; a teacher that was fine-tuned on it looks better there than it is, and the "
        "student may be larger than need be; add a validation split"
    )
    return "selection", selection


def _compared(
    scale: float,
    metric: float,
    resampled: Sequence[float],
    teacher: float,
    drawn: Sequence[float],
    known: MetricRange,
    pruning: PruningConfig,
    seconds: float,
) -> Tried:
    """A student beside the teacher; both were drawn from the same examples."""
    assert pruning.max_loss is not None and pruning.confidence is not None
    most = share_in(pruning.max_loss) + _ROUNDING
    loss = known.share(teacher) - known.share(metric)
    losses = [known.share(before) - known.share(after) for before, after in zip(drawn, resampled, strict=True)]
    losses = [value for value in losses if math.isfinite(value)]
    sure = sum(value <= most for value in losses) / len(losses) if losses else None
    return Tried(
        scale=scale,
        metric=_known(metric),
        loss=_known(round(loss, 6)),
        error=_deviation(losses),
        sure=sure,
        good_enough=loss <= most and (sure is None or sure >= pruning.confidence),
        seconds=seconds,
    )


def _bisect(students: Sequence[One], is_good_enough: Callable[[One], bool]) -> None:
    """Ask of a few students, from the largest to the smallest, whether they are; larger ones are taken to be better."""
    good, bad = -1, len(students)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if is_good_enough(students[middle]) else (good, middle)


def _best(tried: Sequence[Tried]) -> Tried:
    """The smallest that is good enough, else that which loses least; of equals the smaller."""
    enough = [one for one in tried if one.good_enough]
    if enough:
        return min(enough, key=lambda one: one.scale)
    return min(tried, key=lambda one: (math.inf if one.loss is None else one.loss, one.scale))


def _told(one: Tried, bench: Workbench, where: str, teacher: float) -> tuple[float, str, float, str, float, str]:
    metric = math.nan if one.metric is None else one.metric
    return one.scale, bench.metric, metric, where, teacher, "good enough" if one.good_enough else "not good enough"


def _deviation(values: Sequence[float]) -> float | None:
    import statistics

    return round(statistics.stdev(values), 6) if len(values) > 1 else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
