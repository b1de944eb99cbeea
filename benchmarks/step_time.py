"""Seconds of an optimizer step of a run's first training stage, all its batches, evaluations and saving left out.

    python -m benchmarks.step_time CONFIG [--set KEY=VALUE ...] [--out FILE]

The stage is begun twice: a few steps to warm up, then from its start to its end. Whole epochs count, because grouping
by length takes the longest batches first; and the whole stage, because a scheduler may drop candidates on the way. A
step lasts until the end of the next, so making its batch counts. What runs ahead of the stage (importance, the
teacher's cache) is told apart.
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import torch
from transformers import TrainerCallback

from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of

WARM_UP = 5


class StageEnded(Exception):
    """The stage is over; the rest of the run is of no interest."""


class StepClock(TrainerCallback):  # type: ignore[misc]
    """Times steps, and ends the run after so many of them, or with the stage.

    Args:
        limit: Steps; None is the whole stage.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.seconds: list[float] = []
        self._last = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> StepClock:
        """Itself: the workbench gives every stage copies, and this one is read afterwards."""
        return self

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._last = _now()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Note a step."""
        now = _now()
        self.seconds.append(now - self._last)
        self._last = now
        if len(self.seconds) == self.limit:
            raise StageEnded

    def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """Leave out the evaluation."""
        self._last = _now()

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        """Leave out the saving."""
        self._last = _now()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """End the run."""
        raise StageEnded


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter()


def time_stage(prepared: Prepared, limit: int | None = None) -> tuple[list[float], dict[str, float]]:
    """Seconds of each step of the first training stage, and of each stage ahead of it."""
    clock = StepClock(limit)
    bench = workbench_of(prepared, callbacks=[clock])
    with suppress(StageEnded):
        prepared.scheduler.run(bench)
    return clock.seconds, bench.journal.seconds


def main() -> None:
    """Warm up, measure, print, and write JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="compression config whose teacher and data are there already")
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()
    config = read_config(options.config, options.overrides)
    prepared = prepare(config, Path(config.output_dir))
    _, before = time_stage(prepared, WARM_UP)  # which makes the teacher's cache
    seconds, _ = time_stage(prepared)
    found = {
        "median": median(seconds),
        "mean": mean(seconds),
        "threads": torch.get_num_threads(),
        "before": before,
        "seconds": [round(value, 4) for value in seconds],
    }
    print(f"{len(seconds)} steps: median {found['median']:.3f} s, mean {found['mean']:.3f} s")
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
