"""`minidisc frontier`: what is the best for its size and its speed, of one run or of several."""

from __future__ import annotations

import argparse
from pathlib import Path

from minidisc_plugin.foundation.printable import printable


def frontier_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, nargs="+", help="output directory of a run")
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw it, too: a .png, .pdf or .svg; of one run it is there already"
    )


def frontier_command(options: argparse.Namespace) -> None:
    """Print the table, and say where the picture is."""
    from minidisc_plugin.contracts.records import students_in
    from minidisc_plugin.run.reporting.frontier import read_frontier
    from minidisc_plugin.run.reporting.frontier_plot import FRONTIER_FILE, check_kind, plot_frontier
    from minidisc_plugin.run.reporting.tables import print_frontier

    picture: Path | None = options.plot
    if picture is not None:
        check_kind(picture)
    frontier = read_frontier([student for run_dir in options.run_dir for student in students_in(run_dir)])
    print_frontier(frontier)
    first, *others = options.run_dir
    if picture is not None:
        plot_frontier(frontier, picture)
    elif not others and (first / FRONTIER_FILE).exists():
        picture = first / FRONTIER_FILE
    print(printable(f"plot: {picture or 'give --plot FILE, such as --plot frontier.png'}"))
