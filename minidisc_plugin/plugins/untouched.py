"""What a step finds and has to leave as it was: the schedule, the models' weights, and the files of the run."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.contracts.output import RECORD_FILE
from minidisc_plugin.foundation.digests import damage_of
from minidisc_plugin.foundation.processes import is_writer

if TYPE_CHECKING:
    from minidisc_plugin.contracts.run import Run


class Untouched:
    """A run as it was before a step.

    Args:
        run: The run.
        own: Names in the output directory that the step may write anew.
    """

    def __init__(self, run: Run, own: Iterable[str]) -> None:
        self._parts = _parts(run)
        self._values = _values(run)
        self._models = _models(run)
        self._weights = {name: _checksum(model) for name, model in self._models.items()}
        self._root = run.directory.root
        self._folders = [folder for folder in (self._root, run.directory.checkpoints) if folder.is_dir()]
        own = tuple(own)
        # Of several processes one writes, and the others would see its files come and go.
        written = run.directory.written() if is_writer() else {}
        self._digests = {name: digest for name, digest in written.items() if not _is_under(name, own)}
        self._states = {name: _state(self._root / name) for name in self._digests}

    def fault(self, run: Run) -> str | None:
        """What is no longer as it was; None where all is."""
        return self._fault_of_objects(run) or self._fault_of_weights() or self._fault_of_files()

    def _fault_of_objects(self, run: Run) -> str | None:
        for name, part in _parts(run).items():
            if part is not self._parts.get(name):
                return f"put something else in place of what later steps need: run.{name}"
        models = _models(run)
        for name in self._models.keys() | models.keys():
            if models.get(name) is not self._models.get(name):
                return f"put something else in place of what later steps need: the {name}"
        for name, value in _values(run).items():
            if value != self._values[name]:
                return f"changed {name}, which later steps need"
        return None

    def _fault_of_weights(self) -> str | None:
        for name, model in self._models.items():
            if _checksum(model) != self._weights[name]:
                return f"changed the weights of the {name}, which are measured as they were; work on a copy.deepcopy"
        return None

    def _fault_of_files(self) -> str | None:
        for folder in self._folders:
            if not folder.is_dir():
                return f"removed {folder}, which the run needs"
        if self._digests and not (self._root / RECORD_FILE).is_file():
            return f"removed {RECORD_FILE}, which the run needs"
        for name, digest in self._digests.items():
            file = self._root / name
            if _state(file) != self._states[name] and (damage := damage_of(file, digest)):
                return f"left {name} {damage}, which the run had written; write under names of its own (writes)"
        return None


def _parts(run: Run) -> dict[str, Any]:
    """What has to be the same object."""
    parts = {name: getattr(run, name) for name in ("prepared", "bench", "directory", "schedule")}
    return {**parts, "schedule.record": getattr(run.schedule, "record", None)}


def _values(run: Run) -> dict[str, Any]:
    """What has to hold the same."""
    return {
        "run.prepared.config": run.prepared.config.model_dump(),
        "run.directory": (run.directory.place, run.directory.root),
        "run.schedule.record": run.schedule.record.model_dump(),
        "run.schedule.distilled": run.schedule.distilled,
    }


def _models(run: Run) -> dict[str, Any]:
    """What is measured, by what it is called in messages."""
    schedule: Any = run.schedule
    assistants = schedule.assistants if isinstance(schedule.assistants, (list, tuple)) else [schedule.assistants]
    several = {f"assistant {number}": model for number, model in enumerate(assistants, start=1)}
    return {"teacher": run.bench.teacher, **several, "student": schedule.student}


def _checksum(model: torch.nn.Module) -> int:
    """Of all weights and buffers; a hash that nobody forges is several times slower, and nobody means harm."""
    found = 0
    for name, value in model.state_dict().items():
        found = zlib.crc32(f"{name} {value.dtype} {tuple(value.shape)}".encode(), found)
        found = zlib.crc32(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy(), found)
    return found


def _is_under(name: str, own: tuple[str, ...]) -> bool:
    return any(name == one.rstrip("/") or name.startswith(f"{one.rstrip('/')}/") for one in own)


def _state(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
