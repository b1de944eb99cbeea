"""The instrument itself: it sees each call, and does what it is told before the right one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import shim

pytestmark = pytest.mark.skipif(shim.missing() is not None, reason=str(shim.missing()))

# 1 mkdir, 2 open, 3 write, 4 write-rest, 5 fsync, 6 rename, 7 open, 8 write, 9 unlink, 10 rmdir
PROGRAM = """
import os, sys
root = sys.argv[1]
os.mkdir(f"{root}/folder")
number = os.open(f"{root}/folder/.tmp-x", os.O_WRONLY | os.O_CREAT)
done = os.write(number, b"x" * 8192)
while done < 8192:
    done += os.write(number, b"x" * (8192 - done))
os.fsync(number)
os.close(number)
os.replace(f"{root}/folder/.tmp-x", f"{root}/folder/x")
number = os.open("folder/y", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.write(number, b"y")
os.unlink(f"{root}/folder/./y")
os.rmdir(f"{root}/folder/../folder/x/../../none") if os.path.isdir(f"{root}/none") else os.mkdir(f"{root}/none")
with open(f"{root}-elsewhere", "w") as file:
    file.write("not seen")
"""
NAMES = [
    "mkdir folder",
    "open-create folder/.tmp-x",
    "write folder/.tmp-x",
    "write-rest folder/.tmp-x",
    "fsync folder/.tmp-x",
    "rename folder/x",
    "open-truncate folder/y",
    "write folder/y",
    "unlink folder/y",
    "mkdir none",
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    return shim.build(tmp_path_factory.mktemp("shim"))


def run(library: Path, folder: Path, **settings: int) -> tuple[subprocess.CompletedProcess[str], Path, list[str]]:
    """The program with a fault; how it ended, where it wrote and what the shim saw."""
    root, log = folder / "root", folder / "log"
    root.mkdir()
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "FAULT_ROOT": str(root),
        "FAULT_LOG": str(log),
        "FAULT_SPLIT": "4096",
        **{f"FAULT_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-c", PROGRAM, root]
    ended = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    return ended, root, [str(operation) for operation in shim.read_log(log)]


def test_every_change_below_the_folder_is_seen(library: Path, tmp_path: Path) -> None:
    ended, root, seen = run(library, tmp_path)
    assert (ended.returncode, seen) == (0, NAMES)
    assert (root / "folder" / "x").stat().st_size == 8192


def test_a_kill_comes_before_its_operation(library: Path, tmp_path: Path) -> None:
    for number, (there, gone) in {1: ("", "folder"), 4: ("folder/.tmp-x", "folder/x"), 6: ("folder/.tmp-x", "folder/x"),
                                  9: ("folder/y", "none")}.items():  # fmt: skip
        (folder := tmp_path / str(number)).mkdir()
        ended, root, seen = run(library, folder, at=number, action=1)
        assert (ended.returncode, len(seen)) == (-9, number)
        assert (root / there).exists() and not (root / gone).exists()
        if number == 4:
            assert (root / there).stat().st_size == 4096, "half of the write was done"


def test_an_error_comes_once_or_from_then_on(library: Path, tmp_path: Path) -> None:
    (once := tmp_path / "once").mkdir()
    ended, root, _ = run(library, once, at=6, action=2, errno=errno.EIO)
    assert ended.returncode == 1 and "Input/output error" in ended.stderr
    assert (root / "folder" / ".tmp-x").is_file()
    (short := tmp_path / "short").mkdir()
    ended, root, seen = run(library, short, at=4, action=2, errno=errno.ENOSPC, onwards=1)
    assert "No space left" in ended.stderr and seen == [*NAMES[:4], NAMES[2]]
    assert (root / "folder" / ".tmp-x").stat().st_size == 4096, "a full disk takes part of a write first"


def test_a_full_disk_lets_files_be_removed(library: Path, tmp_path: Path) -> None:
    ended, root, seen = run(library, tmp_path, at=9, action=2, errno=errno.ENOSPC, onwards=1)
    assert seen[8:] == ["unlink folder/y", "mkdir none"]
    assert not (root / "folder" / "y").exists() and not (root / "none").exists() and ended.returncode == 1
