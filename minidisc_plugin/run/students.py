"""The students of a run: one, or the one found by a search, has the directory; of several each has a folder in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.output import student_folder
from minidisc_plugin.contracts.run import Prepared, Run
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.plugins.schedulers import decide_each
from minidisc_plugin.run.directory.budgets import keep_budget
from minidisc_plugin.run.directory.part import StudentDirectory
from minidisc_plugin.run.directory.searched import remember_search
from minidisc_plugin.run.good_enough import smallest_good_enough

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
    choose, students = decide_each(prepared.students, bench), prepared.students
    if prepared.searches:
        found = smallest_good_enough(students, bench, choose, prepared.config.pruning, prepared.splits.validation)
        if is_writer():
            keep_budget(directory, prepared.config, found.budget)
            remember_search(directory.checkpoints)
        alone = replace(prepared.alone(found.scheduler), budget=found.budget)
        yield Run(alone, bench.of(found.scheduler.target_scale), directory, lambda: found.schedule)
    elif len(students) == 1:
        yield Run(prepared, bench, directory, partial(choose, students[0]))
    else:
        for scheduler in students:
            part = StudentDirectory(directory, student_folder(scheduler.target_sparsity))
            own = bench.of(scheduler.target_scale)
            yield Run(prepared.alone(scheduler), own, part, partial(choose, scheduler))
