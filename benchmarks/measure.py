"""Measurements of the suite: each is a process of its own, and this one stays small.

Linux starts a child's account of peak memory at its parent's: a suite that held torch would be measured with it.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import Failed
from benchmarks.peak_memory import FINE_TUNE, peak_of
from minidisc_plugin.contracts.records import read_results, read_schedule

# Takes a config file, overrides and an empty folder.
Kind = Callable[[Path, Sequence[str], Path], dict[str, Any]]

REPORT = "report"  # measures models for the tables; no part of the method


def run(config: Path, overrides: Sequence[str], scratch: Path) -> dict[str, Any]:
    """A whole `minidisc run`: seconds of every stage, peak memory, what was chosen and how good it is."""
    output = scratch / "run"
    words = ["minidisc_plugin.cli", "run", str(config), "--overwrite", *_set(overrides)]
    peak = _python([*words, *_set([f"output_dir={output}"])], scratch)
    results, schedule = read_results(output), read_schedule(output)
    return {
        "command": shlex.join(["python", "-m", *words]),
        "seconds": round(sum(value for stage, value in results.seconds.items() if stage != REPORT), 3),
        "stages": results.seconds,
        "peak_mib": round(peak, 1),
        "threads": results.threads,
        "metric": results.metric,
        "split": results.split,
        "examples": results.examples,
        "assistants": schedule.assistants,
        "candidates": [
            candidate.model_dump(include={"scale", "metric", "tradeoff", "selected", "dropped_after"})
            for candidate in schedule.candidates
        ],
        "models": {row.role: row.metric for row in results.rows},
    }


def steps(config: Path, overrides: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Seconds of the optimizer steps of a run's first training stage."""
    out = scratch / "steps.json"
    words = ["benchmarks.step_time", str(config), *_set(overrides)]
    peak = _python([*words, *_set([f"output_dir={scratch / 'run'}"]), "--out", str(out)], scratch)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return {"command": shlex.join(["python", "-m", *words]), **found, "peak_mib": round(peak, 1)}


def fine_tuning(config: Path, overrides: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Peak memory of fine-tuning the teacher with the batches of a run."""
    words = ["benchmarks.peak_memory", str(config), *_set(overrides), FINE_TUNE]
    peak = _python([*words, *_set([f"output_dir={scratch / 'run'}"])], scratch)
    return {"command": shlex.join(["python", "-m", *words]), "peak_mib": round(peak, 1)}


def _python(words: Sequence[str], scratch: Path) -> float:
    """Run a module to its end; returns its peak memory in MiB.

    Raises:
        Failed: it failed; the message ends with the end of its log.
    """
    log = scratch / "log.txt"
    try:
        return peak_of([sys.executable, "-m", *words], log)
    except SystemExit:
        raise Failed(f"{log.read_text(encoding='utf-8', errors='replace')}\nlog: {log}") from None


def _set(overrides: Sequence[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]
