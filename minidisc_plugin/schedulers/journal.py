"""Which stages of a run are finished, how long they took, and what they found: what makes a run resumable."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from minidisc_plugin.contracts.output import JOURNAL_FILE
from minidisc_plugin.contracts.scheduler import owned, stage_of
from minidisc_plugin.contracts.workbench import Announce, to_nobody
from minidisc_plugin.foundation import process_memory as memory
from minidisc_plugin.foundation.atomic import write_bytes
from minidisc_plugin.foundation.digests import damage_of, sha256_of
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.foundation.storage import storage_errors


class _Entry(BaseModel):
    """A finished stage: its wall time, what it found, and the SHA-256 of files that later stages read."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    result: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)


_STAGES = TypeAdapter(dict[str, _Entry])


class Journal:
    """Finished stages of a run, kept in `journal.json`.

    Args:
        folder: Where the file lives.
        resume: Keep what the file says; otherwise start with an empty one.
        announce: Tells plug-ins that a stage ended.

    Attributes:
        is_gone: Whether the run that goes on left none: what is in its checkpoints nobody can tell.

    Raises:
        RunDirectoryError: the file is damaged.
    """

    def __init__(self, folder: Path, *, resume: bool, announce: Announce = to_nobody) -> None:
        self._announce = announce
        self.folder = folder
        self.file = folder / JOURNAL_FILE
        self._stages: dict[str, _Entry] = {}
        self._scale: float | None = None
        self._within: list[float] = []  # seconds of stages inside of each that is open
        self.is_gone = resume and not self.file.is_file()
        if resume and not self.is_gone:
            try:
                self._stages = _STAGES.validate_json(self.file.read_bytes())
            except ValidationError as error:
                why = error.errors(include_url=False)[0]["msg"].splitlines()[0]
                raise RunDirectoryError(
                    f"{self.file} is damaged ({why}), so nobody knows which stages are finished; restore it, or start "
                    "the run again with --overwrite"
                ) from error

    def of(self, scale: float) -> Journal:
        """The same journal for one of several students: stages that it is asked for are those of that student."""
        own = copy.copy(self)
        own._scale = scale
        return own

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of every finished stage, without the stages inside of it: they sum to the whole.

        Of one of several students: of the stages that all share, and of its own.
        """
        found = {stage: entry.seconds for stage, entry in self._stages.items()}
        if self._scale is None:
            return found
        wanted = ("", f"{self._scale:g}")
        return {owned(stage)[0]: seconds for stage, seconds in found.items() if owned(stage)[1] in wanted}

    def _own(self, stage: str) -> str:
        return stage if self._scale is None else stage_of(stage, self._scale)

    def finished(self, stage: str) -> bool:
        """Whether a stage ended."""
        return self._own(stage) in self._stages

    def result(self, stage: str) -> dict[str, Any]:
        """What a finished stage left in the journal."""
        return self._stages[self._own(stage)].result

    def verify(self, stage: str) -> None:
        """Compare the files of a finished stage with their checksums.

        Raises:
            RunDirectoryError: names the one that is missing or damaged.
        """
        for name, digest in self._stages[self._own(stage)].files.items():
            if damage := damage_of(self.folder / name, digest):
                raise RunDirectoryError(
                    f"{self.folder / name} is {damage}; restore it, or start the run again with --overwrite"
                )

    @contextmanager
    def stage(self, name: str, files: Iterable[Path] = ()) -> Iterator[dict[str, Any]]:
        """Time a stage and record it as finished when the block ends well; the dictionary is its result.

        Args:
            name: Of the stage.
            files: Below the journal's folder; what the block writes, and later stages read. Folders are passed over.
        """
        memory.release()  # of the stage before
        name = self._own(name)
        started = time.perf_counter()
        result: dict[str, Any] = {}
        self._within.append(0.0)
        try:
            with storage_errors(self.folder, during_run=True):
                yield result
        finally:
            elapsed, inside = time.perf_counter() - started, self._within.pop()
            if self._within:
                self._within[-1] += elapsed
        seconds = round(elapsed - inside, 3)
        entry = self._stages[name] = _Entry(seconds=seconds, result=result)
        if is_writer():
            entry.files = {
                file.relative_to(self.folder).as_posix(): sha256_of(file) for file in files if not file.is_dir()
            }
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self.file, _STAGES.dump_json(self._stages, indent=2))
        self._announce("minidisc_stage_finished", stage=name, seconds=seconds, output_dir=self.file.parent)
