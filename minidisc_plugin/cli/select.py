"""`minidisc select`: the choice again, by another rule or weight, from what a run recorded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from minidisc_plugin.contracts.rules import Rule


def select_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="output directory of a run")
    parser.add_argument(
        "--lambda",
        dest="lam",
        type=float,
        metavar="X",
        help="weight of sparsity against the metric (default: the run's)",
    )
    parser.add_argument("--rule", choices=get_args(Rule), help="by what to choose (default: the run's)")
    parser.add_argument(
        "--gap-weight", type=float, metavar="X", help="weight of the divergence against the loss (default: the run's)"
    )
    parser.add_argument("--assistants", type=int, metavar="N", help="how many assistants (default: the run's)")


def select_command(options: argparse.Namespace) -> None:
    """Print the schedule as it would be, of each student."""
    from minidisc_plugin.contracts.records import students_in
    from minidisc_plugin.run.reporting.tables import print_schedule
    from minidisc_plugin.run.reselection import select_again

    for student in students_in(options.run_dir):
        record = select_again(student, options.lam, options.assistants, options.rule, options.gap_weight)
        print_schedule(record)
