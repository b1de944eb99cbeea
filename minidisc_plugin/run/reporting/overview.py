"""What a run with several students says of all of them: a picture, and a page that leads to the card of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.contracts.records import students_in
from minidisc_plugin.foundation.atomic import write_text
from minidisc_plugin.foundation.printable import printable
from minidisc_plugin.run.reporting.card import CARD_FILE
from minidisc_plugin.run.reporting.frontier import Frontier, frontier_grid, read_frontier
from minidisc_plugin.run.reporting.frontier_plot import FRONTIER_FILE, plot_frontier
from minidisc_plugin.run.reporting.tables import markdown_table

if TYPE_CHECKING:
    from minidisc_plugin.contracts.run import OutputDirectory


def write_overview(directory: OutputDirectory) -> None:
    """Write the picture and the page.

    Args:
        directory: Of the run; its students are finished.
    """
    students = students_in(directory.root)
    frontier = read_frontier(students)
    with directory.writing(FRONTIER_FILE) as file:
        plot_frontier(frontier, file)
    title = printable(directory.place.resolve().name)
    with directory.writing(CARD_FILE) as file:
        write_text(file, _page(title, frontier, [student.name for student in students]))


def _page(title: str, frontier: Frontier, names: list[str]) -> str:
    grid = frontier_grid(frontier)
    sections = [
        f"# {title}: {len(names)} students of one teacher",
        "One ranking and one schedule made them all. Each folder has a student with its model card, its schedule and "
        "its results.",
        "\n".join(f"- [`{name}/`]({name}/{CARD_FILE})" for name in names),
        "## Models",
        markdown_table(grid),
        *grid.notes,
        f"![metric against parameters, bytes on disk and milliseconds]({FRONTIER_FILE})",
    ]
    return "\n\n".join(sections) + "\n"
