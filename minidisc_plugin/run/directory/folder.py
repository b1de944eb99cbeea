"""The folder of one run: fresh, resumed, or made beside an earlier one whose place it takes when it is whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.output import (
    CHECKPOINTS,
    LOCK_FILE,
    RECORD_FILE,
    REPLACEMENT,
    RESOLVED_CONFIG,
    SEARCH,
)
from minidisc_plugin.foundation.atomic import flush, temporaries_in, write_text
from minidisc_plugin.foundation.digests import sha256_of
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.run.config.written import to_yaml
from minidisc_plugin.run.directory.admission import choose_root, refuse_own_teacher, refuse_unusable
from minidisc_plugin.run.directory.installing import empty_folder, files_below, install, remove, remove_tree
from minidisc_plugin.run.directory.lock import RunLock
from minidisc_plugin.run.directory.record import (
    AFTER_THE_STUDENT,
    RunRecord,
    deciding_settings,
    read_record,
    write_record,
)
from minidisc_plugin.run.directory.searched import OF_A_SEARCH_ENDED, keep_search, take_up_search
from minidisc_plugin.run.directory.settling import settle
from minidisc_plugin.run.directory.verifying import verify_files

logger = logging.getLogger(__name__)


class RunDirectory:
    """The folder of one run.

    A run writes into the folder itself; one that is to replace another writes into `replacement/` in it, which looks
    the same, and takes the other's place at its end. Everything is written by `writing`, so that `run.json` lists it.

    Args:
        place: `output_dir` of the config.

    Attributes:
        root: Where this run writes; `check` decides it.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = Path(place)
        self.root = self.place
        self._lock = RunLock(self.place)

    @property
    def checkpoints(self) -> Path:
        """Where training stages keep theirs."""
        return self.root / CHECKPOINTS

    @property
    def student(self) -> Path:
        """Folder of the student."""
        return self.root / "student"

    def assistant(self, number: int, count: int) -> Path:
        """Folder of the `number`-th (from 1) of `count` assistants."""
        return self.root / ("assistant" if count == 1 else f"assistant-{number}")

    def check(self, config: CompressionConfig, *, overwrite: bool, resume: bool) -> None:
        """Refuse a folder that this run may not write into, and decide where in it to write; touches nothing.

        Raises:
            RunDirectoryError: another process works in it; it holds another run and neither flag says what to do
                with it, or files that no run wrote; a run is to be resumed and there is none; or the model is among
                what is to be replaced.
        """
        refuse_unusable(self.place)
        if is_writer():  # processes of one run that ask at once would take each other for another run
            self._lock.refuse_if_held()
        self.root = choose_root(self.place, overwrite=overwrite, resume=resume)
        if overwrite:
            refuse_own_teacher(self.place, config)

    def begun_in_bf16(self) -> bool | None:
        """Whether the run that is here trains in bf16; None where nothing was begun."""
        held = read_record(self.root)
        return None if held is None else bool(held.settings.get("training.bf16"))

    def same_run(self, config: CompressionConfig, inputs: Mapping[str, str]) -> bool:
        """Whether the run that is here came to its end; refuses one of another config or other inputs.

        Raises:
            RunDirectoryError: names the keys or the inputs that differ.
        """
        held = read_record(self.root)
        if held is None:  # cut off before it wrote anything
            return False
        wanted = _begun(config, inputs)
        settings, changed = held.differences(wanted)
        if held.searches_on(wanted):
            return False
        if not held.finished:
            settings = [name for name in settings if name not in AFTER_THE_STUDENT]
        if settings:
            raise RunDirectoryError(
                f"output_dir: {self.place} holds a run with another {', '.join(settings)}; "
                "resume with the config it was started with, or give another output_dir"
            )
        if changed:
            raise RunDirectoryError(
                f"output_dir: {self.place} holds a run that was begun with another {', '.join(changed)}; "
                "restore what it was, start anew with --overwrite, or give another output_dir"
            )
        for name in _changed_versions(held.versions, wanted.versions):
            logger.warning("the run was begun with %s %s; results may differ a little", name, held.versions[name])
        return held.finished

    def written(self) -> Mapping[str, str]:
        """SHA-256 of each file that this run wrote, by its path in `root`.

        Raises:
            RunDirectoryError: `run.json` is gone.
        """
        return self._record().files

    def verify(self, under: str = "") -> None:
        """Compare the files of this run with their recorded checksums, but for those that people edit.

        Args:
            under: Only those of this folder, of which there is at least one.

        Raises:
            RunDirectoryError: names the first that is missing or damaged, or the folder of which none is recorded.
        """
        verify_files(self.root, self._record().files, under)

    @contextmanager
    def opened(
        self, config: CompressionConfig, inputs: Mapping[str, str], *, overwrite: bool, resume: bool
    ) -> Iterator[None]:
        """Lock the folder and begin, or go on with, the run in it; one process of a run does this.

        Args:
            config: With every default.
            inputs: Checksums by name.
            overwrite: See check.
            resume: See check.

        Raises:
            RunDirectoryError: another process was faster.
        """
        is_new = not self.place.exists()
        self.place.mkdir(parents=True, exist_ok=True)
        try:
            with self._lock.held():
                settle(self.place)
                self.root = choose_root(self.place, overwrite=overwrite, resume=resume)
                held = read_record(self.root)
                wanted = _begun(config, inputs)
                if resume and held is not None and held.finished and not held.searches_on(wanted):
                    raise RunDirectoryError(f"output_dir: {self.place}: another process has finished the run meanwhile")
                try:
                    self._begin(config, wanted, resume=resume)
                except BaseException:
                    if is_new:  # nothing of a run that could not begin
                        with suppress(OSError):
                            empty_folder(self.place, but=LOCK_FILE)
                    raise
                yield
        finally:
            if is_new:
                with suppress(OSError):  # it holds something, as it should
                    self.place.rmdir()

    def settle(self, config: CompressionConfig) -> None:
        """Finish what a finished run was doing when it was cut off: taking its place, and removing its checkpoints.

        Args:
            config: With every default; written again where it is gone.
        """
        left = [self.place / CHECKPOINTS, self.place / REPLACEMENT, self._lock.file, *temporaries_in(self.place)]
        self.root, written = self.place, self.place / RESOLVED_CONFIG
        # Else nothing is written: the folder may be an archive.
        if any(map(os.path.lexists, left)) or not written.exists():
            with self._lock.held():
                settle(self.place)
                self._leave_no_temporary()
                if not written.exists():
                    write_text(written, to_yaml(config))
                    self.adopt([RESOLVED_CONFIG])

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a path to save a file or a folder to; at the end of the block it takes the place of `name`.

        What was there of this run before goes, and `run.json` lists the new files. When the block raises, nothing has
        changed.

        Args:
            name: In the directory, or in a folder in it; a folder's may end with a slash.
        """
        name = name.rstrip("/")
        base = self.checkpoints / "writing"
        staged = base / name
        remove_tree(staged)
        staged.parent.mkdir(parents=True, exist_ok=True)
        yield staged
        found = [f"{name}/{file}" if file else name for file in files_below(staged)]
        for file in found:
            flush(base / file)
        digests = {file: sha256_of(base / file) for file in found}
        before = self._list(name, digests)
        if staged.is_dir() and "/" not in name and not os.path.lexists(self.root / name):
            os.replace(staged, self.root / name)
        else:
            install(base, self.root, found, before)
            remove(self.root, before.keys() - digests.keys())
        flush((self.root / name).parent)

    def adopt(self, names: Iterable[str]) -> None:
        """List what lies under these names as written by this run."""
        for name in (name.rstrip("/") for name in names):
            if os.path.lexists(self.root / name):
                found = [f"{name}/{file}" if file else name for file in files_below(self.root / name)]
                self._list(name, {file: sha256_of(self.root / file) for file in found})

    def finish(self) -> None:
        """Mark the run as finished, drop its checkpoints, and let it take the place of the one it replaces."""
        if (self.checkpoints / OF_A_SEARCH_ENDED).is_file():
            with self.writing(SEARCH) as folder:
                keep_search(self.checkpoints, folder)
        write_record(self.root, self._record().model_copy(update={"finished": True}))
        settle(self.place)
        self._leave_no_temporary()
        self.root = self.place

    def _begin(self, config: CompressionConfig, begun: RunRecord, *, resume: bool) -> None:
        if not resume and self.root != self.place:
            remove_tree(self.root, last=RECORD_FILE)
        self.root.mkdir(exist_ok=True)
        self._leave_no_temporary()
        held = read_record(self.root)
        if held is None:
            write_record(self.root, begun)
        elif held.searches_on(begun):
            take_up_search(self.root)
            changes = {"settings": begun.settings, "budget": None, "finished": False}
            write_record(self.root, held.model_copy(update=changes))
        elif held.settings != begun.settings:
            write_record(self.root, held.model_copy(update={"settings": begun.settings}))
        with self.writing(RESOLVED_CONFIG) as file:
            file.write_text(to_yaml(config), encoding="utf-8")

    def _leave_no_temporary(self) -> None:
        for folder in (self.place, self.root):
            for leftover in temporaries_in(folder):
                remove_tree(leftover)

    def _record(self) -> RunRecord:
        record = read_record(self.root)
        if record is None:
            raise RunDirectoryError(f"output_dir: {self.root / RECORD_FILE} is missing; the run was changed meanwhile")
        return record

    def _list(self, name: str, digests: Mapping[str, str]) -> dict[str, str]:
        """Record the files under a name; returns those that were recorded under it before."""
        record = self._record()
        before = {file: digest for file, digest in record.files.items() if file == name or file.startswith(f"{name}/")}
        others = {file: digest for file, digest in record.files.items() if file not in before}
        write_record(self.root, record.model_copy(update={"files": {**others, **digests}}))
        return before


def _begun(config: CompressionConfig, inputs: Mapping[str, str]) -> RunRecord:
    return RunRecord(settings=deciding_settings(config), inputs=dict(inputs), versions=config.versions or {})


def _changed_versions(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in before if now.get(name) != before[name])
