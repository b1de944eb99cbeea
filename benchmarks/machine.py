"""What a measurement was made on, and with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from minidisc_plugin.integrations.requirements.diagnosis import installed_versions

ROOT = Path(__file__).resolve().parent.parent
VERSIONS_OF = ("torch", "transformers", "minidisc-plugin")


def machine() -> dict[str, Any]:
    """Processor, cores, threads of torch, memory."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def threads() -> int:
    """Threads that torch takes here; another process asks it, so that this one stays small (see measure.py)."""
    command = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def versions() -> dict[str, str]:
    """Of the libraries that matter here, and the commit, marked where files differ from it."""
    installed = installed_versions()
    found = {name: installed[name] for name in VERSIONS_OF if name in installed}
    return {"python": platform.python_version(), **found, "commit": commit()}


def commit() -> str:
    """The checkout's commit, or `unknown` without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10", "--match="]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
