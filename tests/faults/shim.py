"""The library that sees every change of a run's files: built here, armed in the process that is to meet a fault."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
_LOADED = "MINIDISC_FAULT_SHIM"
_COUNT, _KILL, _FAIL = range(3)


@dataclass(frozen=True)
class Fault:
    """What happens before which operation.

    Attributes:
        at: Which operation, from 1.
        error: The error that it fails with; None kills the process.
        onwards: Every later operation fails too, as on a disk that stays full.
    """

    at: int
    error: int | None = None
    onwards: bool = False


@dataclass(frozen=True)
class Operation:
    """One call that changes a file.

    Attributes:
        number: From 1.
        name: What it does.
        takes_space: Whether a full disk can refuse it.
        size: Bytes.
        path: Relative to the folder that is watched.
    """

    number: int
    name: str
    takes_space: bool
    size: int
    path: str

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


def missing() -> str | None:
    """Why the shim cannot work here, or None."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return "faults are injected by LD_PRELOAD, which needs Linux and glibc"
    if shutil.which("cc") is None:
        return "faults are injected by a small C library, and there is no compiler `cc`"
    return None


def build(folder: Path) -> Path:
    """Compile the shim; returns the library."""
    library = folder / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
    return library


def preload(folder: Path) -> None:
    """Start this process again with the shim, built in `folder`; returns once it is there."""
    if os.environ.get(_LOADED):
        return
    library = build(folder)
    # Both would start threads, which a fork does not take along.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    os.environ.update({_LOADED: str(library), "LD_PRELOAD": str(library), "HF_HUB_OFFLINE": "1"})
    os.environ.update(HF_HOME=str(folder / "hf"), TMPDIR=str(folder))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def arm(root: Path, fault: Fault | None, *, log: int = -1, ask: int = -1, answer: int = -1, pause_at: int = 0) -> None:
    """Watch `root` in this process from now on.

    Args:
        root: What lies below it counts.
        fault: What to do; None lets everything pass.
        log: File descriptor that operations are written to.
        ask: Where a byte is written before an operation.
        answer: Where a byte is then waited for.
        pause_at: Ask before this operation alone.
    """
    library = ctypes.CDLL(os.environ[_LOADED])
    numbers = [ctypes.c_long(fault.at if fault else pause_at)]
    action = _COUNT if fault is None else _KILL if fault.error is None else _FAIL
    error = (fault.error or 0) if fault else 0
    library.fault_arm(
        str(root).encode(), *numbers, action, error, int(bool(fault and fault.onwards)), ctypes.c_long(4096),
        log, ask, answer,
    )  # fmt: skip


def read_log(file: Path) -> list[Operation]:
    """Operations as the shim wrote them."""
    operations = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        number, name, needs, size, path = line.split("\t", 4)
        operations.append(Operation(int(number), name, needs == "1", int(size), path))
    return operations
