"""A run, or several next to each other, as tables: for the terminal and in Markdown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.records import ResultsRecord, ScheduleRecord, read_results, read_schedule
from minidisc_plugin.run.reporting.console import standard_output, text
from minidisc_plugin.run.reporting.frontier import Frontier, frontier_grid
from minidisc_plugin.run.reporting.rows import Grid, results_grid, short_names
from minidisc_plugin.run.reporting.schedule_rows import choice, schedule_grid
from minidisc_plugin.run.reporting.search_rows import search_grid

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def print_report(run_dirs: Sequence[str | os.PathLike[str]], console: Console | None = None) -> None:
    """Print how each run chose its assistant, then the models of all runs in one table.

    The candidates are shown for a single run only; of several, the rule and the choice.

    Args:
        run_dirs: at least one output folder of ``minidisc run``.
        console: where to print; standard output if None, 120 columns wide or more if that is no terminal.

    Raises:
        RunDirectoryError: a folder lacks ``schedule.json`` or ``results.json``. For a single run without the
            latter, the schedule has been printed by then.
    """
    console = console or standard_output()
    paths = [Path(run_dir) for run_dir in run_dirs]
    schedules = [read_schedule(path) for path in paths]
    if len(paths) == 1:
        print_schedule(schedules[0], console)
    results = [read_results(path) for path in paths]
    if len(paths) == 1:
        print_search(results[0], console)
    if len(paths) > 1:
        for path, schedule in zip(paths, schedules, strict=True):
            how = f"{schedule.scheduler}, {choice(schedule)} ({schedule.rule.rstrip('.')})"
            console.print(text(f"{path}: {how}"))
        console.print()
    console.print(results_table(results, short_names(paths)))
    _print_notes(console, results_grid(results, short_names(paths)))


def schedule_table(schedule: ScheduleRecord) -> Table:
    """The candidates of a schedule, the chosen ones in bold; without rows if it had none."""
    return _drawn(schedule_grid(schedule))


def results_table(results: Sequence[ResultsRecord], names: Sequence[str] | None = None) -> Table:
    """The models of one or several runs; ``names`` tell runs of the same scheduler apart."""
    return _drawn(results_grid(results, names))


def markdown_table(grid: Grid) -> str:
    """The grid as a Markdown table, without its title and notes."""
    header = tuple(name.replace("\n", " ") for name in grid.header)
    sides = tuple("---" if place < grid.words else "---:" for place in range(len(grid.header)))
    rows = [tuple(f"**{c}**" for c in row) if n in grid.strong else row for n, row in enumerate(grid.rows)]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in (header, sides, *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def print_schedule(schedule: ScheduleRecord, console: Console | None = None) -> None:
    """Print the candidates of a schedule and how one of them was chosen."""
    console = console or standard_output()
    grid = schedule_grid(schedule)
    if grid.rows:
        console.print(_drawn(grid))
    else:
        console.print(text(f"{schedule.scheduler}: {choice(schedule)}", "bold"))
    _print_notes(console, grid)


def print_search(results: ResultsRecord, console: Console | None = None) -> None:
    """Print which students a run tried, where it looked for the smallest that is good enough."""
    grid = search_grid(results)
    if grid is not None:
        console = console or standard_output()
        console.print(_drawn(grid))
        _print_notes(console, grid)


def print_frontier(frontier: Frontier, console: Console | None = None) -> None:
    """Print every form of a frontier, the best first."""
    console = console or standard_output()
    grid = frontier_grid(frontier)
    console.print(_drawn(grid))
    _print_notes(console, grid)


def _print_notes(console: Console, grid: Grid) -> None:
    console.print()
    for note in grid.notes:
        console.print(text(note))
    console.print()


def _drawn(grid: Grid) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=text(grid.title, "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for place, name in enumerate(grid.header):
        table.add_column(
            text(name), justify="left" if place < grid.words else "right", vertical="bottom", overflow="fold"
        )
    for place, row in enumerate(grid.rows):
        style = "bold" if place in grid.strong else None
        table.add_row(*map(text, row), style=style, end_section=place in grid.ends)
    return table
