"""The picture of a frontier: the metric against parameters, bytes and milliseconds, legible in grey."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.records import ModelRow
from minidisc_plugin.foundation.disks import shown
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.reporting.budgets import draw_budgets, draw_losses
from minidisc_plugin.run.reporting.figures import INK, drawn, write
from minidisc_plugin.run.reporting.frontier import Form, Frontier, numbered
from minidisc_plugin.run.reporting.rows import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRONTIER_FILE = "frontier.png"
KINDS = (".png", ".pdf", ".svg")

_SLICES = "#777777"
# By role: the marker, and whether a form in torch is filled.
_MARKERS = {"teacher": "s", "student": "o"}
_ASSISTANT = "D"
_COSTS: dict[str, tuple[Callable[[ModelRow], float | None], float]] = {
    "parameters, millions": (lambda row: row.parameters, 1e6),
    "on disk, MB": (lambda row: row.bytes_on_disk, 1e6),
    "one example, ms": (lambda row: row.latency_ms_batch1, 1.0),
}
# Budgets of each panel.
_BUDGETS = ("max_parameters", "max_bytes", "max_latency_ms")
_LEGEND_COLUMNS = 2
# Where a number may stand, in points from its marker, and how it is aligned there.
_SIDES: tuple[tuple[tuple[float, float], dict[str, str]], ...] = (
    ((7, 0), {"ha": "left", "va": "center"}),
    ((-7, 0), {"ha": "right", "va": "center"}),
    ((0, 6), {"ha": "center", "va": "bottom"}),
    ((0, -7), {"ha": "center", "va": "top"}),
)
_REACH = 1.7  # from a marker to the middle of a number, in shifts


def plot_frontier(frontier: Frontier, path: str | os.PathLike[str]) -> None:
    """Draw every form, by number, and what slices of the shared network scored on the selection split.

    Squares are teachers, diamonds assistants, circles students; those that run in torch are filled. What is the best
    for its bytes or its milliseconds is joined by a line; a dotted one stands at a budget.
    """
    forms = [(number, form) for number, form in numbered(frontier) if form.row.metric is not None]
    lines = -(-len(forms) // _LEGEND_COLUMNS)
    title = f"{frontier.split} {plain(frontier.metric)} against size and speed"
    with drawn(Path(path), (11.0, 4.2 + 0.22 * lines), title) as figure:
        axes: list[Axes] = list(figure.subplots(1, len(_COSTS), sharey=True))
        for axis, budget, (name, (cost, unit)) in zip(axes, _BUDGETS, _COSTS.items(), strict=True):
            axis.set_xscale("log")
            _plain_ticks(axis)
            axis.set_xlabel(name)
            draw_budgets(axis, frontier.budgets, budget, unit)
            draw_losses(axis, frontier.losses)
            _draw_forms(axis, forms, cost, unit)
        _draw_slices(axes[0], frontier)
        _join(axes[1], forms, lambda form: form.smallest, *list(_COSTS.values())[1])
        _join(axes[2], forms, lambda form: form.fastest, *list(_COSTS.values())[2])
        axes[0].set_ylabel(f"{frontier.split} {plain(frontier.metric)}")
        axes[0].set_title(title, loc="left", fontsize=12, fontweight="bold")
        _name(figure, forms, bool(frontier.slices))


def check_kind(path: Path) -> None:
    """Refuse a file of a kind that nothing is drawn in, or without a folder.

    Raises:
        RunDirectoryError: says what to give.
    """
    if path.suffix.lower() not in KINDS:
        raise RunDirectoryError(f"--plot {shown(path)}: give a file that ends with {', '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise RunDirectoryError(f"--plot {shown(path)}: there is no folder {shown(path.parent)}; make it first")


def _draw_forms(
    axis: Axes, forms: list[tuple[int, Form]], cost: Callable[[ModelRow], float | None], unit: float
) -> None:
    spots = {}
    for number, form in forms:
        value, metric = cost(form.row), form.row.metric
        if value is None or metric is None:
            continue
        spots[number] = (value / unit, metric)
        filled = form.row.runtime.startswith("torch")
        marker = _MARKERS.get(form.row.role, _ASSISTANT)
        axis.plot(*spots[number], marker, color=INK, mfc=INK if filled else "white", markersize=7, zorder=3)
    axis.margins(0.12, 0.14)
    _number(axis, spots)


def _number(axis: Axes, spots: Mapping[int, tuple[float, float]]) -> None:
    """Each marker's number on the side that is farthest from other markers, and from numbers that stand already."""
    to_points = 72.0 / axis.figure.dpi
    places = {number: tuple(to_points * axis.transData.transform(spot)) for number, spot in spots.items()}
    taken = list(places.values())
    for number, place in places.items():
        others = [other for other in taken if other != place]
        middles = [(place[0] + _REACH * across, place[1] + _REACH * up) for (across, up), _ in _SIDES]
        rooms = [min((math.dist(middle, other) for other in others), default=0.0) for middle in middles]
        side = rooms.index(max(rooms))
        shift, align = _SIDES[side]
        taken.append(middles[side])
        write(axis, f"{number}", spots[number], shift, fontsize=9, **align)


def _draw_slices(axis: Axes, frontier: Frontier) -> None:
    for found in frontier.slices.values():
        ascending = sorted(found, key=lambda candidate: candidate.parameters)
        axis.plot(
            [candidate.parameters / 1e6 for candidate in ascending],
            [math.nan if candidate.raw_metric is None else candidate.raw_metric for candidate in ascending],
            ".--",
            color=_SLICES,
            linewidth=1.0,
            markersize=5,
            zorder=2,
        )


def _join(
    axis: Axes,
    forms: list[tuple[int, Form]],
    best: Callable[[Form], bool],
    cost: Callable[[ModelRow], float | None],
    unit: float,
) -> None:
    """A line from step to step: what is better costs more."""
    found = [
        (value / unit, form.row.metric) for _, form in forms if best(form) and (value := cost(form.row)) is not None
    ]
    if len(found) > 1:
        places, metrics = zip(*sorted(found), strict=True)
        axis.step(places, metrics, where="post", color=INK, linewidth=1.0, zorder=1)


def _plain_ticks(axis: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _name(figure: Figure, forms: list[tuple[int, Form]], sliced: bool) -> None:
    """What the numbers are, below."""
    from matplotlib.lines import Line2D

    named = [(Line2D([], [], linestyle=""), f"{number}  {form.name}") for number, form in forms]
    if sliced:
        line = Line2D([], [], linestyle="--", marker=".", color=_SLICES)
        named.append((line, "slices of the shared network, on the selection split"))
    if not named:  # no metric is defined
        return
    handles, words = zip(*named, strict=True)
    figure.legend(
        handles, words, loc="outside lower left", ncols=_LEGEND_COLUMNS, frameon=False, fontsize=9, handlelength=1.6
    )
