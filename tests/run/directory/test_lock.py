"""One run a folder: the second is refused in one line, and a lock dies with its holder."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.directory.folder import RunDirectory
from minidisc_plugin.run.directory.lock import RunLock
from tests.run.directory.making import begin, config_of

HOLD = """
import sys, time
from pathlib import Path
from minidisc_plugin.run.directory.lock import RunLock
with RunLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_holder_is_named(other: subprocess.Popen[str], tmp_path: Path) -> None:
    before = (tmp_path / ".lock").read_text()
    for flags in ({"overwrite": False, "resume": False}, {"overwrite": True, "resume": False}):
        with pytest.raises(RunDirectoryError) as caught:
            RunDirectory(tmp_path).check(config_of(tmp_path), **flags)
        message = str(caught.value)
        assert f"is in use by process {other.pid} on host {socket.gethostname()} since" in message
        assert "\n" not in message and "another output_dir" in message
    assert (tmp_path / ".lock").read_text() == before


def test_a_killed_holder_holds_nothing(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / ".lock").exists()
    RunDirectory(tmp_path).check(config_of(tmp_path), overwrite=False, resume=False)
    with RunLock(tmp_path).held():
        assert f'"pid": {os.getpid()}' in (tmp_path / ".lock").read_text()
    assert list(tmp_path.iterdir()) == []


def test_in_one_process_too(tmp_path: Path) -> None:
    with RunLock(tmp_path).held(), pytest.raises(RunDirectoryError, match="in use"), RunLock(tmp_path).held():
        raise AssertionError
    with RunLock(tmp_path).held():
        pass


def test_who_comes_after_the_check_is_refused_all_the_same(tmp_path: Path) -> None:
    """Two starts that both found the folder empty."""
    second = RunDirectory(tmp_path / "out")
    second.check(config_of(tmp_path / "out"), overwrite=False, resume=False)
    begin(tmp_path / "out", {"results.json": "first"})
    with (
        pytest.raises(RunDirectoryError, match="already holds a run"),
        second.opened(config_of(tmp_path / "out"), {}, overwrite=False, resume=False),
    ):
        raise AssertionError
    assert (tmp_path / "out" / "results.json").read_text() == "first"


def test_a_start_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "out")
    directory.check(config_of(tmp_path / "out"), overwrite=False, resume=False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with (
        pytest.raises(RunDirectoryError, match="no run wrote"),
        directory.opened(config_of(tmp_path / "out"), {}, overwrite=False, resume=False),
    ):
        raise AssertionError
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_process_that_was_held_while_it_waited_takes_a_lock_that_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, patience = RunLock(tmp_path), []
    acquire = FileLock.acquire

    def held(self: FileLock, timeout: float, **others: Any) -> Any:
        patience.append(timeout)
        if len(patience) == 1:  # its time went by, and so did the other process
            raise Timeout(str(tmp_path))
        return acquire(self, timeout, **others)

    monkeypatch.setattr(FileLock, "acquire", held)
    with lock.held():
        assert lock.file.is_file()
    assert patience[1] == 0


def test_a_disk_that_fails_for_an_instant_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink, failed = Path.unlink, []

    def fails_once(self: Path, missing_ok: bool = False) -> None:
        if not failed:
            failed.append(self)
            raise OSError(errno.EIO, "Input/output error")
        unlink(self, missing_ok)

    with RunLock(tmp_path).held():
        monkeypatch.setattr(Path, "unlink", fails_once)
    assert failed == [tmp_path / ".lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_holder_ends_while_another_looks_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, acquire = RunLock(tmp_path), FileLock.acquire
    with lock.held():
        pass
    lock.file.write_text("of a holder that is about to end", encoding="utf-8")

    def late(taken: FileLock, *args: Any, **kwargs: Any) -> Any:
        lock.file.unlink(missing_ok=True)  # between the look and the taking
        return acquire(taken, *args, **kwargs)

    monkeypatch.setattr(FileLock, "acquire", late)
    lock.refuse_if_held()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_a_killed_run_left_goes_when_another_looks(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.file.write_text("of a run that was killed", encoding="utf-8")
    lock.refuse_if_held()
    assert list(tmp_path.iterdir()) == []
