"""The whole pipeline: a config in, an output directory out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.config import CompressionConfig
from minidisc_plugin.config_file import read_config
from minidisc_plugin.memory import collecting_new_garbage_only
from minidisc_plugin.plugins import host
from minidisc_plugin.preparation import prepare
from minidisc_plugin.processes import is_writer, wait_for_all
from minidisc_plugin.reporting.records import (
    RESULTS_FILE,
    ResultsRecord,
    ScheduleRecord,
    read_results,
    read_schedule,
)
from minidisc_plugin.run_directory import RunDirectory
from minidisc_plugin.steps import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Result:
    """A finished run; records and models are read from its directory when asked for.

    Attributes:
        output_dir: The run's directory.
    """

    output_dir: Path

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
        from minidisc_plugin.nested.checkpoint import load

        return load(self.output_dir / name)


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
    directory = RunDirectory(config.output_dir)
    directory.check_free(overwrite=overwrite, resume=resume)
    prepared = prepare(config, directory.checkpoints)
    if resume:
        directory.check_same(prepared.config)
        if (directory.root / RESULTS_FILE).is_file() and not directory.checkpoints.is_dir():
            return Result(directory.root)
    wait_for_all()  # each process has checked the folder
    if is_writer():
        written = [name for step in host().steps().values() for name in step.writes]
        directory.open(prepared.config, resume=resume, steps=written)
    wait_for_all()

    run = Run(prepared, prepared.workbench(resume), directory)
    with collecting_new_garbage_only():
        for step in prepared.steps:
            step.run(run)
    wait_for_all()
    if is_writer():
        directory.close()
    return Result(directory.root)
