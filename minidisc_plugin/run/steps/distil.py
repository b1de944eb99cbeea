"""The step `distil`: the student is distilled and written."""

from __future__ import annotations

from minidisc_plugin.contracts.run import Run, Step
from minidisc_plugin.run.good_enough import distil
from minidisc_plugin.run.steps.saving import save


class Distil(Step):
    """Distil the student from the last assistant, or from the teacher without one; write it."""

    name = "distil"

    def run(self, run: Run) -> None:
        """See Step."""
        distil(run.schedule, run.bench)
        save(run, run.schedule.student, run.directory.student.name)
