"""The picture of a schedule: what each candidate scored, what that is worth, and which one was taken."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.records import Candidate, ScheduleRecord
from minidisc_plugin.run.reporting.figures import INK, drawn, write
from minidisc_plugin.run.reporting.schedule_rows import choice
from minidisc_plugin.schedulers.choosing import criterion_of, scores_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_FILE = "tradeoff.png"

_METRIC = "#1f4e9c"
_TRADEOFF = "#b3430f"


def has_picture(schedule: ScheduleRecord) -> bool:
    """Whether there is something to compare: two candidates at least that were measured."""
    return sum(candidate.metric is not None for candidate in schedule.candidates) >= 2


def plot_tradeoff(schedule: ScheduleRecord, path: str | os.PathLike[str]) -> bool:
    """Draw the candidates' metric, and below it the tradeoff if there is one, over the scale.

    The chosen candidates are ringed and named, the target scale is a vertical line. A candidate without a
    value interrupts the line.

    Returns:
        False, and writes nothing, when fewer than two candidates were measured.
    """
    if not has_picture(schedule):
        return False
    candidates = _ascending(schedule)
    worth = [_worth(schedule, candidate) for candidate in candidates]
    traded = any(value is not None for value in worth)
    with drawn(Path(path), (7.2, 5.6 if traded else 3.6), _title(schedule)) as figure:
        axes: list[Axes] = list(figure.subplots(2 if traded else 1, 1, sharex=True, squeeze=False)[:, 0])
        _draw(axes[0], schedule, [c.metric for c in candidates], _METRIC, "o-", named=not traded)
        _draw_intervals(axes[0], candidates)
        axes[0].set_ylabel(_metric_label(schedule))
        if traded:
            _draw(axes[1], schedule, worth, _TRADEOFF, "s--", named=True)
            axes[1].set_ylabel("tradeoff" if schedule.lam is not None else "loss")
            axes[1].set_title(_formula(schedule), loc="right", fontsize=10)
        axes[0].set_title(_title(schedule), loc="left", fontsize=12, fontweight="bold")
        for place, axis in enumerate(axes):
            _mark_target(axis, schedule.target_scale, named=place == 0)
        _scale_axis(axes[-1], schedule, [candidate.scale for candidate in candidates])
        figure.align_ylabels()
    return True


def _worth(schedule: ScheduleRecord, candidate: Candidate) -> float | None:
    """What the rule compares: the tradeoff, of which the largest wins, or a loss, of which the lowest does."""
    criterion = criterion_of(schedule)
    if criterion is None or criterion.rule == "lambda":
        return candidate.tradeoff
    value = criterion.value(candidate.scale, scores_of(candidate))
    return None if value is None else -value


def _draw_intervals(axis: Axes, candidates: Sequence[Candidate]) -> None:
    """95% intervals of the metric, which the axis is made to hold."""
    known = [(c.scale, c.metric, c.metric_interval) for c in candidates if c.metric_interval and c.metric is not None]
    if not known:
        return
    scales, metrics, intervals = zip(*known, strict=True)
    below = [max(metric - low, 0.0) for metric, (low, _) in zip(metrics, intervals, strict=True)]
    above = [max(high - metric, 0.0) for metric, (_, high) in zip(metrics, intervals, strict=True)]
    axis.errorbar(scales, metrics, [below, above], fmt="none", ecolor=_METRIC, elinewidth=1.0, capsize=3, alpha=0.6)
    low, high = axis.get_ylim()
    room = 0.08 * (max(h for _, h in intervals) - min(low for low, _ in intervals))
    axis.set_ylim(min(low, min(x for x, _ in intervals) - room), max(high, max(x for _, x in intervals) + room))


def _draw(
    axis: Axes,
    schedule: ScheduleRecord,
    values: Sequence[float | None],
    colour: str,
    style: str,
    *,
    named: bool,
) -> None:
    candidates = _ascending(schedule)
    scales = [candidate.scale for candidate in candidates]
    heights = [math.nan if value is None else value for value in values]
    axis.plot(scales, heights, style, color=colour, linewidth=1.8, markersize=6.5)
    known = [height for height in heights if not math.isnan(height)]
    span = max(max(known) - min(known), 1e-3)
    dips = [_is_dip(heights, place) for place in range(len(heights))]
    labelled_below = named and any(c.selected and dip for c, dip in zip(candidates, dips, strict=True))
    axis.set_ylim(min(known) - (0.32 if labelled_below else 0.2) * span, max(known) + (0.32 if named else 0.16) * span)
    for candidate, height, dip in zip(candidates, heights, dips, strict=True):
        if math.isnan(height):
            foot = (candidate.scale, 0.03)
            axis.plot(*foot, "x", color=INK, markersize=7, mew=1.8, transform=axis.get_xaxis_transform())
            write(axis, "no value", foot, (0, 7), xycoords=axis.get_xaxis_transform(), fontsize=9.5)
        elif candidate.selected:
            axis.plot(candidate.scale, height, "o", markersize=15, mfc="none", mec=INK, mew=1.6)
            if named:
                side = _side(candidate.scale, schedule.target_scale, scales[-1])
                write(
                    axis,
                    f"chosen: {_number(candidate.scale)}",
                    (candidate.scale, height),
                    ({"left": -7, "center": 0, "right": 7}[side], -12 if dip else 12),
                    ha=side,
                    va="top" if dip else "bottom",
                    fontweight="bold",
                )


def _is_dip(heights: Sequence[float], place: int) -> bool:
    """Whether the line rises from this point to both sides, which leaves room for words below it only."""
    neighbours = [*heights[max(place - 1, 0) : place], *heights[place + 1 : place + 2]]
    return all(height > heights[place] for height in neighbours if not math.isnan(height))


def _side(scale: float, target: float, largest: float) -> str:
    """How words at a scale are aligned to stay clear of the target's line and the right edge."""
    position = (scale - target) / ((largest - target) or 1)
    if position < 0.14:
        return "left"
    return "right" if position > 0.93 else "center"


def _mark_target(axis: Axes, target: float, *, named: bool) -> None:
    """No candidate lies below the target, so the words stand free to the left of the line."""
    axis.axvline(target, color=INK, linestyle=":", linewidth=1.4)
    if named:
        words = f"student: {_number(target)}"
        write(
            axis,
            words,
            (target, 0.5),
            (-5, 0),
            axis.get_xaxis_transform(),
            ha="right",
            va="center",
            rotation=90,
        )


def _scale_axis(axis: Axes, schedule: ScheduleRecord, scales: Sequence[float]) -> None:
    axis.set_xlabel("scale (share of the encoder's heads and neurons that is kept)")
    shown = sorted({schedule.target_scale, *scales})
    width = shown[-1] - shown[0] or 0.1
    axis.set_xlim(shown[0] - 0.08 * width, shown[-1] + 0.05 * width)
    if min(right - left for left, right in pairwise(shown)) >= 0.045 * width:
        axis.set_xticks(shown, [_number(scale) for scale in shown])


def _metric_label(schedule: ScheduleRecord) -> str:
    label = schedule.metric.replace("_", " ")
    if schedule.measured_on == "student":
        label += " of the student"
    moved = any(c.raw_metric is not None and c.raw_metric != c.metric for c in schedule.candidates)
    return label + "\n(brought to [0, 1])" if moved else label


def _title(schedule: ScheduleRecord) -> str:
    return f"{schedule.scheduler}: {choice(schedule)}"


def _formula(schedule: ScheduleRecord) -> str:
    if schedule.lam is None:
        return f"{schedule.rule} wins"
    return f"tradeoff = metric + {_number(schedule.lam)} $\\times$ (1 $-$ scale)"


def _ascending(schedule: ScheduleRecord) -> list[Candidate]:
    return sorted(schedule.candidates, key=lambda candidate: candidate.scale)


def _number(value: float) -> str:
    return f"{value:.4g}"
