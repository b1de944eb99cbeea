"""What the speed benchmark measures: the names of its cells, and the settings behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from benchmarks import measure
from benchmarks.cells import Cell
from benchmarks.tasks import Task

Overrides = tuple[str, ...]

PUBLISHED = "published"
FAST = "fast"
# The default protocol needs no key.
PROTOCOLS: Mapping[str, Overrides] = {PUBLISHED: ("protocol=published",), FAST: ()}

_GROUPED = ("protocol=published", "training.group_by_length=true", "engine.padding=longest")
# From the published step to the default one, each with one thing more.
STEPS: Mapping[str, Overrides] = {
    PUBLISHED: PROTOCOLS[PUBLISHED],
    "published-grouped": _GROUPED,
    "published-grouped-cached": (*_GROUPED, "engine.teacher_cache=true"),
    "sandwich": ("scheduler_config.sampling=sandwich",),
    FAST: PROTOCOLS[FAST],
}
# 320 examples, 20 batches, are left to train on once a tenth selects.
STEP_EXAMPLES = 356
STEP_EPOCHS = 2

# What these save is time alone: evaluations change nothing that is learned without early stopping; padding, and a cache
# of the teacher's outputs, nothing but rounding.
_UNTIMED: Mapping[str, Overrides] = {
    PUBLISHED: ("engine.padding=longest", "engine.teacher_cache=true", 'training.eval_strategy="no"')
}


def grid(count: int) -> str:
    """So many candidates, evenly spaced between .5 and .11, as an override."""
    scales = np.linspace(0.5, 0.11, count).round(4).tolist()
    return f"scheduler_config.candidates={scales}"


RUNS: Mapping[str, Overrides] = {
    PUBLISHED: PROTOCOLS[PUBLISHED],
    "minidisc": PROTOCOLS[FAST],
    "direct": ("scheduler=direct",),
    "maxidisc": ("scheduler=maxidisc",),
    "minidisc-2": (grid(2),),
    "minidisc-4": (grid(4),),
    "minidisc-8": (grid(8),),
    "minidisc-16": (grid(16),),
    "maxidisc-16": ("scheduler=maxidisc", grid(16)),
}


def make_cells(
    tasks: Sequence[Task],
    timed: Task,
    timing_examples: int,
    seeds: Sequence[int],
    variants: Mapping[str, Overrides],
) -> list[Cell]:
    """All cells in the order in which they are measured.

    Args:
        tasks: Where choices are compared.
        timed: The task whose steps and runs are timed.
        timing_examples: Of train, that timed runs train on.
        seeds: Of the choices.
        variants: Further protocols by name: timed and compared next to the others.
    """

    def short(examples: int) -> str:
        return f"dataset.data_files.train={timed.data('train', examples)}"

    cells = []
    for name, overrides in {**STEPS, **variants}.items():
        # Steps alone are timed, so evaluations are but waiting.
        untimed = (short(STEP_EXAMPLES), f"training.num_train_epochs={STEP_EPOCHS}", 'training.eval_strategy="no"')
        cells.append(_cell(f"step/{name}", measure.steps, timed, (*overrides, *untimed, 'training.save_strategy="no"')))
    for name, overrides in {**RUNS, **variants}.items():
        cells.append(_cell(f"run/{timed.name}/{name}", measure.run, timed, (*overrides, short(timing_examples))))
    cells.append(
        _cell(f"memory/{timed.name}/fine-tuning", measure.fine_tuning, timed, (short(timing_examples),)),
    )
    # A seed's protocols follow each other, so a suite that is cut off has pairs to compare.
    for seed in seeds:
        for task in tasks:
            for name, overrides in {**PROTOCOLS, **variants}.items():
                settings = (*overrides, *_UNTIMED.get(name, ()), f"training.seed={seed}")
                cells.append(_cell(f"choice/{task.name}/{name}/{seed}", measure.run, task, settings, seed))
    return cells


def _cell(name: str, kind: measure.Kind, task: Task, overrides: Overrides, seed: int = 0) -> Cell:
    settings = {"task": task.name, "seed": seed, "config": task.config(), "overrides": list(overrides)}
    return Cell(name, settings, partial(kind, task.config_file, overrides))
