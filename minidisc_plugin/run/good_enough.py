"""`pruning.max_loss`: the smallest student that is good enough, found by bisection over scales.

A student is good enough that loses no more of the metric than it may, against the teacher and on a split that trained
neither, in so many draws of a paired bootstrap that the search as a whole is as sure as `pruning.confidence` says.
Nothing is judged on the reported split.
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
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.selection import range_of
from minidisc_plugin.selection.metric_range import MetricRange

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.pruning import PruningConfig
    from minidisc_plugin.contracts.workbench import Workbench

logger = logging.getLogger(__name__)

# Of the students among which the smallest is looked for.
SCALES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
SPARSITIES = tuple(round(1 - scale, 6) for scale in SCALES)

_STAGE, _STUDENT = "comparison", "student"
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


def needed_in_each(confidence: float, students: int) -> float:
    """Share of the draws that each comparison of a search needs, for the search to have that confidence.

    Every look is another chance to take a student that is not good enough: what the search may err is shared by as many
    as bisection needs at most (Bonferroni).

    Args:
        confidence: Of the search, in [0.5, 1).
        students: Among which it looks.
    """
    return round(1 - (1 - confidence) / students.bit_length(), 6)


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
    assert pruning.max_loss is not None and pruning.confidence is not None
    promise = _Promise(share_in(pruning.max_loss), needed_in_each(pruning.confidence, len(students)))
    comparison = _Comparison(bench, choose, promise, *_compared_on(validation, bench.selection_dataset))
    _bisect(students, comparison.is_good_enough)
    best = _best(comparison.tried)
    if not best.good_enough and is_writer():
        logger.warning(
            "pruning.max_loss: %s: no student is good enough; the one of scale %g, which loses least, is taken",
            pruning.max_loss,
            best.scale,
        )
    chosen = next(one for one in students if one.target_scale == best.scale)
    budget = Budget(asked=pruning.asked, target_sparsity=chosen.target_sparsity, search=comparison.told())
    return Found(chosen, comparison.schedule or _made(chosen, bench, choose), budget)


@dataclass(frozen=True)
class _Promise:
    """What a student may lose, as a share of the metric's range, and in which share of the draws no more than that."""

    loss: float
    needed: float


class _Comparison:
    """Students beside their teacher, on one split.

    Args:
        bench: The means.
        choose: What `decide_each` gave.
        promise: What is asked of each.
        where: Name of the split.
        split: Trained none of them.

    Attributes:
        tried: In the order in which they were asked for.
        schedule: Of the best so far; None where it was made earlier, and is looked up.
    """

    def __init__(
        self,
        bench: Workbench,
        choose: Callable[[Scheduler], Schedule],
        promise: _Promise,
        where: str,
        split: Dataset,
    ) -> None:
        self._bench, self._choose, self._promise = bench, choose, promise
        self._where, self._split = where, split
        self._teacher = bench.redrawn(bench.teacher, _STAGE, split)
        self._range = range_of([self._teacher[0]], bench.metric, bench.metric_range)
        self.tried: list[Tried] = []
        self.schedule: Schedule | None = None

    def is_good_enough(self, scheduler: Scheduler) -> bool:
        """Make a student, unless it was made earlier, and compare it."""
        bench, scale = self._bench, scheduler.target_scale
        own, schedule = bench.of(scale), None
        if not own.journal.finished(_STAGE):
            schedule = _made(scheduler, bench, self._choose)
            own.redrawn(schedule.student, _STAGE, self._split)
        elif own.journal.finished(_STUDENT):
            own.journal.verify(_STUDENT)  # it may be taken another time
        kept = own.journal.result(_STAGE)
        spent = sum(seconds for stage, seconds in bench.journal.seconds.items() if owned(stage)[1] == f"{scale:g}")
        student = kept["metric"], kept["resampled"]
        one = _compared(scale, student, self._teacher, self._range, self._promise, round(spent, 3))
        self.tried.append(one)
        if _best(self.tried) is one:
            self.schedule = schedule
        logger.info(
            "student of scale %g: %s %.4g on %s, the teacher %.4g: %s",
            *(scale, bench.metric, kept["metric"], self._where, self._teacher[0]),
            "good enough" if one.good_enough else "not good enough",
        )
        return one.good_enough

    def told(self) -> Search:
        """What there is to keep."""
        return Search(
            split=self._where,
            examples=len(self._split),
            teacher=_known(self._teacher[0]),
            range=(self._range.low, self._range.high),
            needed=self._promise.needed,
            tried=tuple(self.tried),
        )


def distil(schedule: Schedule, bench: Workbench) -> None:
    """Train the student of a schedule to the end, unless its scheduler has.

    Args:
        schedule: Its student is trained in place.
        bench: The means; of one of several students, its own.
    """
    if not schedule.distilled:
        bench.distil(schedule.student, schedule.assistant or bench.teacher, _STUDENT)
        schedule.distilled = True


def _made(scheduler: Scheduler, bench: Workbench, choose: Callable[[Scheduler], Schedule]) -> Schedule:
    schedule = choose(scheduler)
    distil(schedule, bench.of(scheduler.target_scale))
    return schedule


def _compared_on(validation: Dataset | None, selection: Dataset) -> tuple[str, Dataset]:
    """A split that trained no student, and its name."""
    if validation is not None:
        return "validation", validation
    if is_writer():
        logger.warning(
            "pruning.max_loss: there is no validation split beside the reported one, so students are compared with the "
            "teacher on the selection split; a teacher that was fine-tuned on it looks better there than it is, and "
            "the student may be larger than need be; add a validation split"
        )
    return "selection", selection


def _compared(
    scale: float,
    student: tuple[float, Sequence[float]],
    teacher: tuple[float, Sequence[float]],
    known: MetricRange,
    promise: _Promise,
    seconds: float,
) -> Tried:
    """A student beside the teacher, each with its metric and that of draws, which are the same for both."""
    most = promise.loss + _ROUNDING
    loss = known.share(teacher[0]) - known.share(student[0])
    losses = [known.share(before) - known.share(after) for before, after in zip(teacher[1], student[1], strict=True)]
    losses = [value for value in losses if math.isfinite(value)]
    sure = sum(value <= most for value in losses) / len(losses) if losses else None
    return Tried(
        scale=scale,
        metric=_known(student[0]),
        loss=_known(round(loss, 6)),
        error=_deviation(losses),
        sure=sure,
        good_enough=loss <= most and (sure is None or sure >= promise.needed),
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


def _deviation(values: Sequence[float]) -> float | None:
    import statistics

    return round(statistics.stdev(values), 6) if len(values) > 1 else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
