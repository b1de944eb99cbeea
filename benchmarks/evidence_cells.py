"""What `benchmarks.evidence` compares: the names of its cells, and the settings behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks import measure
from benchmarks.cells import Cell
from benchmarks.speed_cells import Overrides
from benchmarks.tasks import Task

DIRECT = "direct"
# About minidisc's own time: on MRPC it takes 3.1 to 3.5 times a direct run (docs/performance.md).
DIRECT_LONGER = "direct, 3 times the epochs"
GUIDES = ("assistant", "teacher", "both")
RULES = ("log_loss", "gap")
OBJECTIVES = ("knowledge_distillation", "ted", "codir", "ad_kd")
SCALES = (0.1, 0.05)
RATES = (2e-4, 6e-4, 1e-3)


def variants(epochs: int) -> Mapping[str, Overrides]:
    """Ways to a student by name, as keys of a compression config.

    Args:
        epochs: Of every training stage.
    """
    guided = {f"minidisc, guide {guide}": ("scheduler=minidisc", f"distillation.guide={guide}") for guide in GUIDES}
    ruled = {f"minidisc, rule {rule}": ("scheduler=minidisc", f"scheduler_config.rule={rule}") for rule in RULES}
    taught = {f"direct, {name}": ("scheduler=direct", f"distillation.objective={name}") for name in OBJECTIVES}
    return {
        DIRECT: ("scheduler=direct",),
        DIRECT_LONGER: ("scheduler=direct", f"training.num_train_epochs={3 * epochs}"),
        **guided,
        **ruled,
        **taught,
    }


def make_cells(
    teachers: Mapping[str, Sequence[Task]],
    scales: Sequence[float],
    rates: Sequence[float],
    seeds: Sequence[int],
    epochs: int,
) -> list[Cell]:
    """All cells in the order in which they are measured: seed by seed, so that what there is can be compared.

    Args:
        teachers: Tasks by the name of what their teachers were fine-tuned from.
        scales: Of the student.
        rates: Learning rates that every variant is tried with.
        seeds: Of the runs.
        epochs: Of every training stage.
    """
    return [
        _cell(teacher, task, scale, variant, overrides, rate, seed)
        for seed in seeds
        for teacher, tasks in teachers.items()
        for task in tasks
        for scale in scales
        for variant, overrides in variants(epochs).items()
        for rate in rates
    ]


def _cell(teacher: str, task: Task, scale: float, variant: str, overrides: Overrides, rate: float, seed: int) -> Cell:
    settings = (
        *overrides,
        f"pruning.target_sparsity={round(1 - scale, 6)}",
        f"training.learning_rate={rate:g}",
        f"training.seed={seed}",
    )
    said = {"teacher": teacher, "task": task.name, "scale": scale, "variant": variant, "rate": rate, "seed": seed}
    return Cell(
        f"{teacher}/{task.name}/{scale:g}/{variant}/{rate:g}/{seed}",
        {**said, "config": task.config(), "overrides": list(settings)},
        partial(measure.judged, task.config_file, settings),
    )
