"""Peak memory of `minidisc run` against fine-tuning the same teacher with the same batches, whole processes.

    python benchmarks/peak_memory.py examples/demo/compression.yaml [--set KEY=VALUE ...]

Each side is a process of its own; the operating system's account of it (maximum resident set) is printed, with the
ratio. `--set training.max_steps=60` shortens both alike.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FINE_TUNE = "--fine-tune"


def main() -> None:
    """Measure both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="compression config whose teacher and data are there already")
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument(FINE_TUNE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fine_tune:
        fine_tune(options.config, options.overrides)
        return
    overrides = [word for override in options.overrides for word in ("--set", override)]
    with tempfile.TemporaryDirectory() as scratch:
        tuned = peak_of(
            [sys.executable, __file__, options.config, *overrides, "--set", f"output_dir={scratch}/tuned", FINE_TUNE]
        )
        command = [sys.executable, "-m", "minidisc_plugin.cli", "run", options.config, *overrides]
        run = peak_of([*command, "--set", f"output_dir={scratch}/run"])
    print(f"fine-tuning the teacher: {tuned:.0f} MiB")
    print(f"minidisc run:            {run:.0f} MiB, {run / tuned:.2f} times as much")


def fine_tune(config_file: str, overrides: Sequence[str]) -> None:
    """Train the teacher on the run's own data, with the run's own arguments."""
    from transformers import Trainer

    from minidisc_plugin.run.config.file import read_config
    from minidisc_plugin.run.preparation import prepare

    config = read_config(config_file, overrides)
    prepared = prepare(config, Path(config.output_dir))
    Trainer(
        model=prepared.teacher,
        args=prepared.args,
        train_dataset=prepared.splits.train,
        processing_class=prepared.processor,
    ).train()


def peak_of(command: Sequence[str], log: str | os.PathLike[str] | None = None) -> float:
    """Maximum resident set of a command, in MiB.

    Args:
        command: Program and arguments.
        log: File that takes what it prints.

    Raises:
        SystemExit: the command failed.
    """
    actions: list[tuple[Any, ...]] = []
    if log is not None:
        opened = (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        actions = [opened, (os.POSIX_SPAWN_DUP2, 1, 2)]
    process = os.posix_spawn(command[0], list(command), os.environ, file_actions=actions)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss / 1024  # Linux counts in KiB


if __name__ == "__main__":
    main()
