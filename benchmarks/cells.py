"""Measurements that are made once: each is a file of its own, so a suite that was cut off goes on where it was."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import BaseModel, ValidationError

from minidisc_plugin.foundation.atomic import write_text

_LAST_LINES = 8


class Failed(Exception):
    """A measurement that came to no end; the message is what the user sees."""


@dataclass(frozen=True)
class Cell:
    """One measurement to make.

    Attributes:
        name: Readable, parts divided by slashes: `run/mrpc/published`.
        settings: What is measured, in JSON's types; kept in the record.
        measure: Makes it, given an empty folder, which is removed afterwards; returns JSON's types.
    """

    name: str
    settings: dict[str, Any]
    measure: Callable[[Path], dict[str, Any]]


class Source(BaseModel):
    """Where measurements come from.

    Attributes:
        machine: Processor, cores, threads, memory.
        versions: Of libraries, and the commit.
    """

    machine: dict[str, Any]
    versions: dict[str, str]


class Record(BaseModel):
    """A measurement made.

    Attributes:
        name: The cell's.
        settings: The cell's.
        result: What it measured.
        seconds: Wall time of the whole measurement.
        date: When it ended.
        source: Machine and versions.
    """

    name: str
    settings: dict[str, Any]
    result: dict[str, Any]
    seconds: float
    date: str
    source: Source


class Store:
    """Records in the folder `cells` of a work folder.

    Args:
        work: The work folder.
        say: Where progress goes; standard output unless told.
    """

    def __init__(self, work: Path, say: Callable[[str], None] | None = None) -> None:
        self.folder = work / "cells"
        self.scratch = work / "scratch"
        self._say = say or (lambda line: print(line, flush=True))

    def read(self, name: str) -> Record | None:
        """The record of a cell, if it has one that can be understood."""
        try:
            return Record.model_validate_json(_file(self.folder, name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):
            return None

    def records(self) -> dict[str, Record]:
        """All records by name."""
        files = sorted(self.folder.rglob("*.json"))
        names = [str(file.relative_to(self.folder).with_suffix("")) for file in files]
        found = {name: self.read(name) for name in names}
        return {name: record for name, record in found.items() if record is not None}

    def missing(self, cells: Iterable[Cell], redo: Sequence[str] = ()) -> list[Cell]:
        """Cells without a record, and those whose names match a pattern of `redo`."""
        return [cell for cell in cells if matches(cell.name, redo) or self.read(cell.name) is None]

    def show(self, cells: Sequence[Cell]) -> None:
        """Print which cells have a record."""
        missing = {cell.name for cell in self.missing(cells)}
        for cell in cells:
            print(f"{'missing' if cell.name in missing else 'done':<9}{cell.name}")

    def run(
        self, cells: Sequence[Cell], source: Callable[[], Source], redo: Sequence[str] = (), processes: int = 1
    ) -> list[str]:
        """Measure what is missing; a cell that fails keeps the record that it had.

        Args:
            cells: In the order in which they are measured.
            source: Machine and versions; asked only if something is measured.
            redo: Patterns of names to measure again.
            processes: That measure cells side by side, each one after another; 1 is this one.

        Returns:
            Names of the cells that failed.
        """
        begun = perf_counter()
        missing = {cell.name for cell in self.missing(cells, redo)}
        heads = {cell.name: f"{number:>3}/{len(cells)}  {cell.name}" for number, cell in enumerate(cells, start=1)}
        for cell in cells:
            if cell.name not in missing:
                kept = self.read(cell.name)
                other = kept is not None and kept.settings != cell.settings
                self._say(f"{heads[cell.name]}: kept" + (", though with other settings; see --redo" if other else ""))
        failed: list[str] = []
        if not missing:
            return failed
        wanted = [cell for cell in cells if cell.name in missing]
        for name, found in self._measure(wanted, source(), processes, heads):
            if isinstance(found, str):
                failed.append(name)
                self._say(f"{heads[name]}: failed\n{last_lines(found)}")
            else:
                elapsed = timedelta(seconds=round(perf_counter() - begun))
                self._say(f"{heads[name]}: {found:.1f} s, {elapsed} in all")
        return failed

    def _measure(
        self, cells: Sequence[Cell], source: Source, processes: int, heads: Mapping[str, str]
    ) -> Iterator[tuple[str, float | str]]:
        """Names with seconds, or with what went wrong, as cells are done."""
        if processes == 1:
            for cell in cells:
                self._say(f"{heads[cell.name]} ...")
                yield cell.name, _measured(self.folder, self.scratch, cell, source)
            return
        # Each is a fresh interpreter: a device's memory is not to be had after a fork.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            running = {pool.submit(_measured, self.folder, self.scratch, cell, source): cell.name for cell in cells}
            for done in as_completed(running):
                yield running[done], done.result()


def _measured(folder: Path, scratch: Path, cell: Cell, source: Source) -> float | str:
    """Measure a cell and keep its record; returns its seconds, or what went wrong."""
    place = scratch / cell.name.replace("/", "-")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    begun = perf_counter()
    try:
        result = cell.measure(place)
        seconds = round(perf_counter() - begun, 3)
        date = datetime.now().astimezone().isoformat(timespec="seconds")
        record = Record(
            name=cell.name, settings=cell.settings, result=result, seconds=seconds, date=date, source=source
        )
        _file(folder, cell.name).parent.mkdir(parents=True, exist_ok=True)
        write_text(_file(folder, cell.name), record.model_dump_json(indent=2) + "\n")
    except Exception as error:  # whatever it was, the other cells can be measured
        return _message(error)
    shutil.rmtree(place)  # after a failure it stays, with the log
    with suppress(OSError):  # others may lie there
        scratch.rmdir()
    return seconds


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns; a star goes across slashes."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def last_lines(text: str) -> str:
    """The end of a long message, indented."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"       {line}" for line in lines[-_LAST_LINES:])


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, Failed) else "".join(traceback.format_exception(error))
