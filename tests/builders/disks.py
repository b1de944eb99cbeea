"""Real small filesystems: full ones and read-only ones; a test that needs one is skipped where none can be mounted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "1m", files: int = 0) -> Iterator[Path]:
    """Mount a filesystem of so many bytes, and of so many files where given, on a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size}" + (f",nr_inodes={files}" if files else "")
    _mount("-t", "tmpfs", "-o", options, "none", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Make a folder read-only, as to root too."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield folder
    finally:
        _unmount(folder)


def grow(folder: Path, size: str = "64m") -> None:
    """Give a small filesystem more room."""
    _mount("-o", f"remount,size={size}", str(folder))


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mounting here: {error}")
    if done.returncode:
        pytest.skip(f"no mounting here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    # Lazily: files of a test may be open still.
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)
