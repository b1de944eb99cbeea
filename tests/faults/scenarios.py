"""Tiny runs that between them use everything that is kept on disk."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.builders.tiny import make_config, make_rows, make_run_files, write_csv

ROWS = {"train": 60, "validation": 24, "test": 24}


@dataclass(frozen=True)
class Scenario:
    """A run, and why it is here.

    Attributes:
        name: Of the scenario.
        about: In a few words.
        changes: Of the config's sections; mappings are merged.
        replaces: The run replaces a finished one of another seed.
        needs: A module without which it cannot be run.
        kinds: Of faults that are tried on it.
        touches: A part of the names of the files that are meant; all where empty.
    """

    name: str
    about: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    replaces: bool = False
    needs: str | None = None
    kinds: tuple[str, ...] = ("kill", "errors", "starts", "damage")
    touches: str = ""

    @property
    def available(self) -> bool:
        """Whether what it needs is installed."""
        return self.needs is None or importlib.util.find_spec(self.needs) is not None


_SMALL = {"engine": {"teacher_cache": False}, "scheduler_config": {"halving": False}}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "epochs",
            "checkpoints by epoch, early stopping",
            {**_SMALL, "training": {"num_train_epochs": 3}, "early_stopping_patience": 1},
        ),
        Scenario(
            "steps",
            "checkpoints by step, halving drops candidates, the teacher's outputs are kept on disk",
            {
                "engine": {"teacher_cache": True},
                "scheduler_config": {"candidates": [0.8, 0.6, 0.4, 0.3], "lambda": 2.0},
                "selection_size": 0.2,
                "training": {
                    "num_train_epochs": 2,
                    "save_strategy": "steps",
                    "save_steps": 1,
                    "save_total_limit": 2,
                },
            },
        ),
        Scenario(
            "maxidisc",
            "every assistant to the end, by Optimum Intel's trainer where that is installed",
            {
                "engine": {"teacher_cache": False},
                "scheduler": "maxidisc",
                "trainer": "inc" if importlib.util.find_spec("optimum.intel") else "transformers",
                "training": {"num_train_epochs": 1},
            },
            kinds=("kill", "errors", "damage"),
        ),
        Scenario(
            "export",
            "the step export; what it shares with others is tried there",
            {**_SMALL, "training": {"num_train_epochs": 1}, "steps": ["export"]},
            needs="openvino",
            kinds=("kill", "errors", "damage"),
            touches="openvino",
        ),
        Scenario(
            "students",
            "three students of one schedule, each in a folder of its own",
            {**_SMALL, "training": {"num_train_epochs": 1}, "pruning": {"target_sparsity": [0.8, 0.5, 0.7]}},
            kinds=("kill", "errors", "damage"),
        ),
        Scenario(
            "search",
            "the smallest student that is good enough, of those that are tried",
            {
                **_SMALL,
                "training": {"num_train_epochs": 1},
                "pruning": {"target_sparsity": None, "max_loss": 0.1},
                "scheduler_config": {"halving": False, "candidates": [0.55, 0.35]},
            },
            kinds=("kill", "errors", "damage"),
        ),
        Scenario(
            "overwrite",
            "a finished run is replaced",
            {**_SMALL, "training": {"num_train_epochs": 1, "seed": 1}},
            replaces=True,
            kinds=("kill", "errors"),
        ),
        Scenario("small", "a sample for quick tests", {**_SMALL, "training": {"num_train_epochs": 2}}),
    )
}


def make_inputs(folder: Path) -> None:
    """Teacher and data of all scenarios."""
    folder.mkdir(parents=True, exist_ok=True)
    make_run_files(folder)
    for seed, (name, count) in enumerate(ROWS.items(), start=1):
        write_csv(folder / f"{name}.csv", make_rows(count, seed))


def write_config(scenario: Scenario, inputs: Path, output_dir: Path, file: Path, **training: Any) -> None:
    """The config of a scenario, with further keys of `training`."""
    config = make_config(inputs, trainer="transformers", output_dir=str(output_dir))
    for key, value in [*scenario.changes.items(), ("training", training)]:
        held = config.get(key)
        config[key] = {**held, **value} if isinstance(held, dict) and isinstance(value, Mapping) else value
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
