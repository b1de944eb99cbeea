"""The students of a run: one has the output directory, of several each has a folder in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.output import student_folder
from minidisc_plugin.contracts.run import Prepared, Run
from minidisc_plugin.plugins.schedulers import decide_each
from minidisc_plugin.run.directory.part import StudentDirectory

if TYPE_CHECKING:
    from minidisc_plugin.run.directory.folder import RunDirectory
    from minidisc_plugin.schedulers.workbench import Workbench


def runs_of(prepared: Prepared, bench: Workbench, directory: RunDirectory) -> Iterator[Run]:
    """A run for each student, from the largest to the smallest; the steps of one are done before the next is asked for.

    Args:
        prepared: The checked run.
        bench: Its means.
        directory: Opened.
    """
    schedules = decide_each(prepared.students, bench)
    if len(prepared.students) == 1:
        yield Run(prepared, bench, directory, schedules)
        return
    for scheduler in prepared.students:
        part = StudentDirectory(directory, student_folder(scheduler.target_sparsity))
        yield Run(prepared.alone(scheduler), bench.of(scheduler.target_scale), part, schedules)
