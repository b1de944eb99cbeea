"""Pipeline steps: what a run does, in order; a plug-in adds one through `minidisc_register_steps`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from minidisc_plugin.deployment.artefact import Artefact
from minidisc_plugin.model_files.types import in_type
from minidisc_plugin.processes import is_writer
from minidisc_plugin.storage import storage_errors

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.config import CompressionConfig
    from minidisc_plugin.preparation import Prepared
    from minidisc_plugin.run_directory import RunDirectory
    from minidisc_plugin.schedulers.base import Schedule as ScheduleResult
    from minidisc_plugin.schedulers.workbench import Workbench


@dataclass
class Run:
    """What steps hand on to each other.

    Attributes:
        prepared: Config, teacher, tokenizer, data and scheduler, all checked.
        bench: Training, distillation and evaluation.
        directory: Where results go.
        schedule: Set by the step `schedule`: assistants, student and how they were chosen.
        artefacts: What steps made of teacher and student for other runtimes; the report measures each.
    """

    prepared: Prepared
    bench: Workbench
    directory: RunDirectory
    schedule: ScheduleResult = field(init=False)
    artefacts: list[Artefact] = field(default_factory=list)


class Step(ABC):
    """One step of the pipeline; a config's `steps` run between the student's distillation and the report.

    Attributes:
        name: What `steps` in a config may hold.
        writes: Names in the output directory, a folder's with a slash, and what each is; `--overwrite` removes them.
    """

    name: ClassVar[str]
    writes: ClassVar[Mapping[str, str]] = {}

    def check(self, config: CompressionConfig) -> None:
        """Refuse a config that this step cannot work with, before anything is trained.

        Raises:
            ConfigError: names the key, the value and the remedy.
        """
        return None

    @abstractmethod
    def run(self, run: Run) -> None:
        """Do the step."""


class Schedule(Step):
    """Choose the assistants; write them, `schedule.json` and `tradeoff.png`."""

    name = "schedule"

    def run(self, run: Run) -> None:
        """See Step."""
        from minidisc_plugin.reporting.plot import PLOT_FILE, plot_tradeoff
        from minidisc_plugin.reporting.records import SCHEDULE_FILE, write_json
        from minidisc_plugin.schedulers.checked import decide

        run.schedule = decide(run.prepared.scheduler, run.bench)
        if not is_writer():
            return
        with run.directory.writing(SCHEDULE_FILE) as file:
            write_json(file, run.schedule.record)
        with run.directory.writing(PLOT_FILE) as file:
            plot_tradeoff(run.schedule.record, file)
        count = len(run.schedule.assistants)
        for number, assistant in enumerate(run.schedule.assistants, start=1):
            _save(run, assistant, run.directory.assistant(number, count).name)


class Distil(Step):
    """Distil the student from the last assistant, or from the teacher without one; write it."""

    name = "distil"

    def run(self, run: Run) -> None:
        """See Step."""
        schedule = run.schedule
        if not schedule.distilled:
            run.bench.distil(schedule.student, schedule.assistant or run.bench.teacher, "student")
        _save(run, schedule.student, run.directory.student.name)


class Report(Step):
    """Measure teacher, assistants and student on data that chose nothing; write results and model card."""

    name = "report"

    def run(self, run: Run) -> None:
        """See Step."""
        from minidisc_plugin.reporting.card import CARD_FILE, write_model_card
        from minidisc_plugin.reporting.records import RESULTS_FILE, SCHEDULE_FILE, write_json
        from minidisc_plugin.reporting.results import measure

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
        with run.directory.writing(CARD_FILE) as file:
            write_model_card(
                run.directory.root,
                record,
                results,
                base_model=config.model,
                task=config.task,
                dataset=config.dataset.path,
                name=run.directory.place.resolve().name,
                file=file,
            )


def _save(run: Run, model: PreTrainedModel, name: str) -> None:
    from minidisc_plugin.reporting.memory import weight_bytes

    if is_writer():
        with storage_errors(run.directory.root / name, weight_bytes(model)), run.directory.writing(name) as folder:
            in_type(model, run.prepared.saved_type).save_pretrained(str(folder))
            run.prepared.tokenizer.save_pretrained(str(folder))
