"""This process's memory: the command that starts again without glibc's thread cache, and the garbage collector."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from minidisc_plugin.foundation.process_memory import collecting_new_garbage_only

TUNABLES = "GLIBC_TUNABLES"
# Say what this process was started with, then are the command line.
STARTED = f"""
import os
print(os.environ.get("{TUNABLES}"), flush=True)
"""
COMMAND = f"""
{STARTED}
from minidisc_plugin.cli import main
print("status", main())
"""
OPTIMUM_COMMAND = f"""
{STARTED}
from optimum.commands.optimum_cli import main
main()
"""

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's setting")


def said(folder: Path, *arguments: str, tunables: str | None = None, command: str = COMMAND) -> list[str]:
    """What a command prints on standard output, line by line."""
    environment = {name: value for name, value in os.environ.items() if name != TUNABLES}
    if tunables is not None:
        environment[TUNABLES] = tunables
    words = [sys.executable, "-c", command, *arguments]
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@on_glibc
def test_a_run_starts_once_more_without_the_thread_cache(tmp_path: Path) -> None:
    assert said(tmp_path, "run", "missing.yaml") == ["None", "glibc.malloc.tcache_count=0", "status 2"]


@on_glibc
def test_so_does_one_by_optimum_cli(tmp_path: Path) -> None:
    arguments = ("compress", "run", "missing.yaml")
    assert said(tmp_path, *arguments, command=OPTIMUM_COMMAND) == ["None", "glibc.malloc.tcache_count=0"]


@on_glibc
def test_other_settings_of_glibc_are_kept(tmp_path: Path) -> None:
    other = "glibc.malloc.mxfast=0"
    assert said(tmp_path, "run", "missing.yaml", tunables=other) == [
        other,
        f"{other}:glibc.malloc.tcache_count=0",
        "status 2",
    ]


def test_a_thread_cache_that_is_wanted_stays(tmp_path: Path) -> None:
    wanted = "glibc.malloc.tcache_count=7"
    assert said(tmp_path, "run", "missing.yaml", tunables=wanted) == [wanted, "status 2"]


def test_commands_that_train_nothing_do_not_start_again(tmp_path: Path) -> None:
    assert said(tmp_path, "select", "missing") == ["None", "status 2"]


def test_a_run_leaves_the_garbage_collector_as_it_was() -> None:
    gc.unfreeze()  # what the whole suite froze
    try:
        with pytest.raises(KeyError), collecting_new_garbage_only():
            assert gc.get_freeze_count() > 1000
            watched = weakref.ref(watchable := Watchable())
            watchable.itself = watchable
            del watchable
            gc.collect()
            assert watched() is None, "new garbage is found"
            raise KeyError
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()


def test_some_that_python_froze_itself_do_not_matter() -> None:
    gc.freeze()
    few = gc.get_freeze_count()
    many = [[] for _ in range(2 * few)]
    try:
        with collecting_new_garbage_only():
            assert gc.get_freeze_count() >= few + len(many)
    finally:
        gc.unfreeze()


def test_what_somebody_froze_on_purpose_stays_frozen() -> None:
    gc.freeze()
    try:
        with collecting_new_garbage_only():
            pass
        assert gc.get_freeze_count() > len(gc.get_objects())
    finally:
        gc.unfreeze()


class Watchable:
    """What can be in a cycle, and be referred to weakly."""

    itself: object = None
