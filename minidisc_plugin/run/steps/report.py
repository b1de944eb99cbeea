"""The step `report`: everything is measured, and the results are written."""

from __future__ import annotations

from minidisc_plugin.contracts.records import RESULTS_FILE, SCHEDULE_FILE, write_json
from minidisc_plugin.contracts.run import Run, Step
from minidisc_plugin.foundation.processes import is_writer


class Report(Step):
    """Measure teacher, assistants and student on data that chose nothing; write results, frontier and model card."""

    name = "report"

    def run(self, run: Run) -> None:
        """See Step."""
        from minidisc_plugin.run.data.folders import public_name
        from minidisc_plugin.run.measuring.results import measure
        from minidisc_plugin.run.reporting.card import CARD_FILE, write_model_card
        from minidisc_plugin.run.reporting.frontier import frontier_of
        from minidisc_plugin.run.reporting.frontier_plot import FRONTIER_FILE, plot_frontier

        if not is_writer():
            return
        with run.bench.journal.stage("report"):
            results = measure(run)
        results = results.model_copy(update={"seconds": run.bench.journal.seconds})
        record = run.schedule.record.model_copy(update={"seconds": run.bench.journal.seconds})
        config = run.prepared.config
        for name, written in ((SCHEDULE_FILE, record), (RESULTS_FILE, results)):
            with run.directory.writing(name) as file:
                write_json(file, written)
        with run.directory.writing(FRONTIER_FILE) as file:
            plot_frontier(frontier_of([results], [record]), file)
        with run.directory.writing(CARD_FILE) as file:
            write_model_card(
                run.directory.root,
                record,
                results,
                base_model=config.model,
                task=config.task,
                dataset=public_name(config.dataset),
                name=run.directory.place.resolve().name,
                file=file,
            )
