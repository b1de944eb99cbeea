"""What `minidisc plan` predicts beside what `minidisc run` takes, stage by stage.

    python -m benchmarks.plan_check CONFIG [--set KEY=VALUE ...] [--out FILE]

The plan is made first, then the run, both in this process and with nothing else on the machine; the run writes into a
folder that goes away. A teacher's outputs are computed ahead of the stage that reads them, and belong to it.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import torch

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.pipeline import compress
from minidisc_plugin.run.plan.plan import make_plan


def check(config: CompressionConfig) -> list[dict[str, Any]]:
    """Seconds of every stage that was predicted and of every one that a run had; the last row is the sum."""
    predicted = {stage.name: stage.seconds for stage in make_plan(config).stages}
    with tempfile.TemporaryDirectory() as scratch:
        taken = dict(compress(config.model_copy(update={"output_dir": str(Path(scratch) / "run")})).results.seconds)
    for stage in predicted:
        taken[stage] = taken.get(stage, 0.0) + taken.pop(f"{stage}-teacher", 0.0)
    rows = [_row(stage, predicted.get(stage), taken.get(stage)) for stage in dict.fromkeys((*predicted, *taken))]
    common = [row for row in rows if row["ratio"] is not None]
    return [*rows, _row("in whole", *(sum(row[key] for row in common) for key in ("predicted", "taken")))]


def _row(stage: str, predicted: float | None, taken: float | None) -> dict[str, Any]:
    both = predicted is not None and taken
    return {"stage": stage, "predicted": predicted, "taken": taken, "ratio": predicted / taken if both else None}  # type: ignore[operator]


def main() -> None:
    """Plan, run, print, and write JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="compression config whose teacher and data are there already")
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    rows = check(read_config(options.config, options.overrides))
    print(f"{'stage':<16}{'predicted s':>12}{'taken s':>10}{'ratio':>8}")
    for row in rows:
        cells = [(row["predicted"], 12, 1), (row["taken"], 10, 1), (row["ratio"], 8, 2)]
        print(f"{row['stage']:<16}" + "".join(f"{'' if v is None else f'{v:.{d}f}':>{w}}" for v, w, d in cells))
    print(f"{torch.get_num_threads()} threads; a ratio below 1: the run took longer than it was said to")
    if options.out:
        Path(options.out).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
