"""Which stages of a run are finished, how long they took, and what they found: what makes a run resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minidisc_plugin import memory
from minidisc_plugin.atomic import write_text
from minidisc_plugin.plugins import event
from minidisc_plugin.processes import is_writer


class Journal:
    """Finished stages of a run, kept in `journal.json`.

    Args:
        folder: Where the file lives.
        resume: Keep what the file says; otherwise start with an empty one.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self.file = folder / "journal.json"
        self._stages: dict[str, dict[str, Any]] = {}
        self._within: list[float] = []  # seconds of stages inside of each that is open
        if resume and self.file.is_file():
            self._stages = json.loads(self.file.read_text(encoding="utf-8"))

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of every finished stage, without the stages inside of it: they sum to the whole."""
        return {stage: entry["seconds"] for stage, entry in self._stages.items()}

    def finished(self, stage: str) -> bool:
        """Whether a stage ended."""
        return stage in self._stages

    def result(self, stage: str) -> Any:
        """What a finished stage left in the journal."""
        return self._stages[stage]["result"]

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage and record it as finished when the block ends well; the dictionary is its result."""
        memory.release()  # of the stage before
        started = time.perf_counter()
        result: dict[str, Any] = {}
        self._within.append(0.0)
        try:
            yield result
        finally:
            elapsed, inside = time.perf_counter() - started, self._within.pop()
            if self._within:
                self._within[-1] += elapsed
        seconds = round(elapsed - inside, 3)
        self._stages[name] = {"seconds": seconds, "result": result}
        if is_writer():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.file, json.dumps(self._stages, indent=2))
        event("minidisc_stage_finished", stage=name, seconds=seconds, output_dir=self.file.parent)
