"""The step `schedule`: the assistants are chosen and written."""

from __future__ import annotations

from minidisc_plugin.contracts.records import SCHEDULE_FILE, write_json
from minidisc_plugin.contracts.run import Run, Step
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.run.steps.saving import save


class Schedule(Step):
    """Choose the assistants; write them, `schedule.json` and `tradeoff.png`."""

    name = "schedule"

    def run(self, run: Run) -> None:
        """See Step."""
        from minidisc_plugin.run.reporting.plot import PLOT_FILE, plot_tradeoff

        run.schedule = run.decide()
        if not is_writer():
            return
        with run.directory.writing(SCHEDULE_FILE) as file:
            write_json(file, run.schedule.record)
        with run.directory.writing(PLOT_FILE) as file:
            plot_tradeoff(run.schedule.record, file)
        count = len(run.schedule.assistants)
        for number, assistant in enumerate(run.schedule.assistants, start=1):
            save(run, assistant, run.directory.assistant(number, count).name)
