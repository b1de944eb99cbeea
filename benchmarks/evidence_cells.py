"""What `benchmarks.evidence` compares: the names of its cells, and the settings behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks import ways
from benchmarks.cells import Cell
from benchmarks.speed_cells import Overrides
from benchmarks.tasks import Task

# About minidisc's own time: it takes 3.1 to 3.5 times a direct run on MiniLM (docs/performance.md), 5 on MPNet-base.
LONGER = {"minilm": 3, "mpnet": 5}
SCALES = (0.1, 0.05)
RATES = (2e-4, 6e-4, 1e-3)
BATCH = 32
# Distilled directly, from MiniLM to a tenth of it.
OBJECTIVES: Mapping[str, Overrides] = {
    "knowledge_distillation": (),
    "minidisc": (),
    "ted": (),
    "ted, layer-wise": ("distillation.ted.teacher_filters=false",),
    "codir": (),
    "ad_kd": (),
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
        rates: Learning rates that every way is tried with.
        seeds: Of the runs.
        epochs: Of every training stage.
    """
    grid = [
        (teacher, task, rate, seed)
        for seed in seeds
        for rate in rates
        for teacher, tasks in teachers.items()
        for task in tasks
    ]
    crosses = [
        _cell(f"cross/{teacher}/{task.name}/{scale:g}", task, scale, rate, seed, epochs, teacher)
        for teacher, task, rate, seed in grid
        for scale in scales
    ]
    objectives = [
        _cell(f"objective/{teacher}/{task.name}/{name}", task, SCALES[0], rate, seed, epochs, teacher, name)
        for teacher, task, rate, seed in grid
        for name in OBJECTIVES
        if teacher == "minilm"
    ]
    return [*crosses, *objectives]


def _cell(
    name: str, task: Task, scale: float, rate: float, seed: int, epochs: int, teacher: str, objective: str | None = None
) -> Cell:
    settings = [
        f"pruning.target_sparsity={round(1 - scale, 6)}",
        f"training.learning_rate={rate:g}",
        f"training.seed={seed}",
        f"training.num_train_epochs={epochs}",
        f"training.per_device_train_batch_size={BATCH}",
        f"training.per_device_eval_batch_size={4 * BATCH}",
    ]
    # Cells of one task follow the same teacher.
    settings += [f"engine.teacher_cache_dir={task.work / 'outputs'}", "engine.teacher_cache_gib=20"]
    said = {"teacher": teacher, "task": task.name, "scale": scale, "rate": rate, "seed": seed, "epochs": epochs}
    measure = partial(ways.crossed, task.config_file, settings, LONGER[teacher])
    if objective is not None:
        own = ("scheduler=direct", f"distillation.objective={objective.partition(',')[0]}", *OBJECTIVES[objective])
        settings = [*settings, *own]
        said["objective"] = objective
        measure = partial(ways.taught, task.config_file, settings)
    return Cell(f"{name}/{rate:g}/{seed}", {**said, "config": task.config(), "overrides": settings}, measure)
