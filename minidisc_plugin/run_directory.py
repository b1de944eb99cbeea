"""The output directory of a run: who may write into it, and where each thing lives."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minidisc_plugin.atomic import write_text
from minidisc_plugin.config import CompressionConfig
from minidisc_plugin.config_file import read_config, to_yaml
from minidisc_plugin.errors import RunDirectoryError

RESOLVED_CONFIG = "config.resolved.yaml"
CHECKPOINTS = "checkpoints"
FILES = {
    RESOLVED_CONFIG: "the config with every default, the versions and the seed; runs again as it stands",
    "schedule.json": "scheduler, candidates with sizes, metric and tradeoff, the choice",
    "results.json": "test metric, parameters, MACs, bytes, latency and throughput of each model",
    "tradeoff.png": "scale against metric and tradeoff, the choice marked",
    "assistant/": "the teacher assistant (assistant-1/, assistant-2/ ... when there are several)",
    "student/": "the student",
    "README.md": "model card",
}


class RunDirectory:
    """The folder of one run.

    Args:
        root: `output_dir` of the config.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.checkpoints = self.root / CHECKPOINTS
        self.student = self.root / "student"

    def assistant(self, number: int, count: int) -> Path:
        """Folder of the `number`-th (from 1) of `count` assistants."""
        return self.root / ("assistant" if count == 1 else f"assistant-{number}")

    def check_free(self, *, overwrite: bool, resume: bool) -> None:
        """Refuse a folder that holds something else; touches nothing.

        Raises:
            RunDirectoryError: it holds another run and neither flag says what to do with it, or files that no run
                wrote; or a run is to be resumed and there is none.
        """
        if self.root.exists() and not self.root.is_dir():
            raise RunDirectoryError(f"output_dir: {self.root} is a file; give a folder")
        parent = next(folder for folder in self.root.absolute().parents if folder.exists())
        if not parent.is_dir():
            raise RunDirectoryError(
                f"output_dir: {self.root} cannot be made, for {parent} is a file; give another folder"
            )
        holds_run = (self.root / RESOLVED_CONFIG).is_file()
        if resume and not holds_run:
            raise RunDirectoryError(f"output_dir: {self.root} holds no run to resume; leave --resume out")
        if not holds_run and self.root.is_dir() and any(self.root.iterdir()):
            raise RunDirectoryError(f"output_dir: {self.root} holds files that no run wrote; give another folder")
        if holds_run and not (overwrite or resume):
            raise RunDirectoryError(
                f"output_dir: {self.root} already holds a run; "
                "give --resume to go on with it, --overwrite to replace it, or another folder"
            )

    def check_same(self, config: CompressionConfig) -> None:
        """Refuse to resume a run of another config.

        Raises:
            RunDirectoryError: names the keys that differ.
        """
        different = _differences(read_config(self.root / RESOLVED_CONFIG), config)
        if different:
            raise RunDirectoryError(
                f"output_dir: {self.root} holds a run with another {', '.join(different)}; "
                "resume with the config it was started with, or give another output_dir"
            )

    def open(self, config: CompressionConfig, *, resume: bool, steps: Iterable[str] = ()) -> None:
        """Make the folder and write the resolved config; what an earlier run wrote goes first, unless resuming.

        Args:
            config: With every default.
            resume: Keep what is there.
            steps: Names that pipeline steps write.
        """
        if not resume:
            self._clear(Path(config.model), steps)
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(self.root / RESOLVED_CONFIG, to_yaml(config))

    def close(self) -> None:
        """Drop the checkpoints of a finished run."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _clear(self, teacher: Path, steps: Iterable[str]) -> None:
        """Remove what an earlier run wrote.

        Raises:
            RunDirectoryError: the teacher is among it.
        """
        if teacher.exists() and self.root.resolve() in teacher.resolve().parents:
            raise RunDirectoryError(
                f"output_dir: {self.root} holds the model {teacher}, which would be overwritten; give another folder"
            )
        for name in [*FILES, *steps, CHECKPOINTS]:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for folder in self.root.glob("assistant-*"):
            shutil.rmtree(folder)


def _differences(held: CompressionConfig, wanted: CompressionConfig) -> list[str]:
    """Keys whose values differ, but for the recorded versions."""

    def plain(config: CompressionConfig) -> dict[str, Any]:
        return config.model_dump(mode="json", exclude={"versions"}, exclude_none=True)

    before, after = plain(held), plain(wanted)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
