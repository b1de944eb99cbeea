"""The whole pipeline: a config in, an output directory out."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.records import ResultsRecord, ScheduleRecord, read_results, read_schedule, students_in
from minidisc_plugin.foundation.bars import bars_on_terminals
from minidisc_plugin.foundation.disks import hugging_face_home
from minidisc_plugin.foundation.litter import compile_into, no_litter
from minidisc_plugin.foundation.process_memory import collecting_new_garbage_only
from minidisc_plugin.foundation.processes import is_writer, wait_for_all
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.run.checks.teacher import check_teacher
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.directory.budgets import held_budget
from minidisc_plugin.run.directory.folder import RunDirectory
from minidisc_plugin.run.measuring.precision import note_precision
from minidisc_plugin.run.plan.space import estimate, warn_where_too_little
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.reporting.overview import write_overview
from minidisc_plugin.run.settled_budget import settled_in
from minidisc_plugin.run.students import runs_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Result:
    """A finished run; records and models are read from its directory when asked for.

    That of several students has them in `students` alone.

    Attributes:
        output_dir: The run's directory.
        trust_remote_code: Run code of its models' folders where these need it, as the run was allowed to.
    """

    output_dir: Path
    trust_remote_code: bool = False

    @property
    def students(self) -> dict[float, Result]:
        """By sparsity, what there is of each student, from the largest to the smallest."""
        found = [replace(self, output_dir=folder) for folder in students_in(self.output_dir)]
        return {one.schedule.target_sparsity: one for one in found}

    @property
    def schedule(self) -> ScheduleRecord:
        """Which candidates there were, what they scored and which was chosen."""
        return read_schedule(self.output_dir)

    @property
    def results(self) -> ResultsRecord:
        """Teacher, assistants and student, measured."""
        return read_results(self.output_dir)

    @property
    def student(self) -> PreTrainedModel:
        """The student."""
        return self._load("student")

    @property
    def assistant(self) -> PreTrainedModel | None:
        """The assistant that the student was distilled from; None for a direct distillation."""
        count = len(self.schedule.assistants)
        return self._load(RunDirectory(self.output_dir).assistant(count, count).name) if count else None

    def _load(self, name: str) -> PreTrainedModel:
        read_schedule(self.output_dir)  # which says where several students are
        from minidisc_plugin.nested.checkpoint import load
        from minidisc_plugin.plugins import families

        return load(self.output_dir / name, families(), trust_remote_code=self.trust_remote_code)


def compress(
    config: str | os.PathLike[str] | CompressionConfig, *, overwrite: bool = False, resume: bool = False
) -> Result:
    """Choose the assistant, distil the student, measure and report.

    Args:
        config: A config file, or the config itself.
        overwrite: Replace the run that `output_dir` holds.
        resume: Go on with it: finished stages are skipped, the one that was cut off starts from its last checkpoint.

    Returns:
        The finished run.

    Raises:
        MinidiscError: something cannot be used, before anything is trained or written; or the loss is not finite.
    """
    if not isinstance(config, CompressionConfig):
        config = read_config(config)
    with storage_errors(config.output_dir), no_litter() as is_ours:
        return _compress(config, overwrite=overwrite, resume=resume, keep_compiled=is_ours)


def _compress(config: CompressionConfig, *, overwrite: bool, resume: bool, keep_compiled: bool) -> Result:
    from minidisc_plugin.run.workbench import workbench_of

    directory = RunDirectory(config.output_dir)
    directory.check(config, overwrite=overwrite, resume=resume)
    with storage_errors(hugging_face_home()):
        begun = (directory.begun_in_bf16(), held_budget(directory)) if resume else ()
        prepared = prepare(config, directory.checkpoints, *begun)
    finished = resume and directory.same_run(prepared.config, prepared.inputs)
    wait_for_all()  # each process has checked the folder
    if finished:
        if is_writer():
            directory.settle(prepared.config)
        wait_for_all()
        RunDirectory(config.output_dir).verify()
        return Result(directory.place, config.trust_remote_code)
    opened = directory.opened(prepared.config, prepared.inputs, overwrite=overwrite, resume=resume)
    with (
        opened if is_writer() else nullcontext(),
        storage_errors(directory.root, during_run=True),
        bars_on_terminals(),
    ):
        wait_for_all()
        if keep_compiled:
            compile_into(directory.checkpoints)
        bench = workbench_of(prepared, resume)
        if is_writer() and not bench.journal.seconds:  # else the run's first start has said it
            check_teacher(prepared)
        prepared = settled_in(directory, prepared, bench, config, resume=resume)
        if is_writer():
            warn_where_too_little(estimate(prepared, bench), directory.place)
        note_precision(bench.journal, prepared.precisions)
        with collecting_new_garbage_only():
            for run in runs_of(prepared, bench, directory):
                for step in prepared.steps:
                    step.run(run)
                    if is_writer():
                        run.directory.adopt(step.writes)
        if is_writer() and prepared.in_folders:
            write_overview(directory)
        wait_for_all()
        if is_writer():
            directory.finish()
    return Result(directory.place, config.trust_remote_code)
