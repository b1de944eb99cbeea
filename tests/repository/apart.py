"""What benchmarks ask of another process in tests; it imports little, for each process is a fresh interpreter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.cells import Failed


def measured_apart(number: int, scratch: Path) -> dict[str, Any]:
    """The number and the process; no such thing as number 2."""
    if number == 2:
        raise Failed("no such thing")
    return {"number": number, "process": os.getpid()}
