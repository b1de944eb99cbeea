"""Choose the assistant for a pipeline that speaks Neural Compressor's configs, and say what is left for it to do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_compressor.config import DistillationConfig, WeightPruningConfig

from minidisc_plugin.contracts.scheduler import Schedule, Scheduler
from minidisc_plugin.foundation.errors import ConfigError, UnsupportedModelError
from minidisc_plugin.integrations.inc.criterion import MiniDiscLossConfig
from minidisc_plugin.plugins.schedulers import make_scheduler
from minidisc_plugin.tasks.labels import is_regression, perfect_predictions
from minidisc_plugin.tasks.registry import task_of_model

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, TrainingArguments

SCHEDULE_FOLDER = "schedule"
TEACHER_LOGITS = "teacher_logits"  # the column from which INCTrainer takes a teacher's outputs


@dataclass(frozen=True)
class Scheduled:
    """A schedule, and the configs with which Neural Compressor goes on.

    Attributes:
        teacher: What it started from.
        schedule: Assistants, student, and how they were chosen.
        distillation: The user's config, or the paper's loss where there was none; its teacher is the assistant.
        pruning: The user's config; None where the student's slices are that pruning.
    """

    teacher: PreTrainedModel
    schedule: Schedule
    distillation: DistillationConfig
    pruning: WeightPruningConfig | None


@dataclass(frozen=True)
class SchedulingTask:
    """What a schedule is made from.

    Attributes:
        scheduler: With its settings.
        distillation: The user's config, if any; its `teacher_model` is the teacher.
        pruning: What Neural Compressor is to prune after the student was sliced, if anything.
    """

    scheduler: Scheduler
    distillation: DistillationConfig | None
    pruning: WeightPruningConfig | None

    def run(
        self,
        model: PreTrainedModel,
        *,
        train_dataset: Dataset | None,
        args: TrainingArguments | None,
        compute_metrics: Callable[[Any], dict[str, float]] | None,
        metric: str | None = None,
        **settings: Any,
    ) -> Scheduled:
        """Make the schedule; checkpoints go to the folder `schedule` of `args.output_dir`.

        Args:
            model: The teacher, where the distillation config names none.
            train_dataset: As Scheduler.schedule.
            args: As Scheduler.schedule.
            compute_metrics: As Scheduler.schedule.
            metric: The key that selects; `args.metric_for_best_model`, or the only one there is, when left out.
            **settings: Further arguments of Scheduler.schedule.

        Raises:
            ConfigError: something that the scheduler needs was not given.
        """
        for name, value in (("train_dataset", train_dataset), ("args", args), ("compute_metrics", compute_metrics)):
            if value is None:
                raise ConfigError(f"{name}: missing; scheduler {self.scheduler.name!r} trains and compares candidates")
        assert train_dataset is not None and args is not None and compute_metrics is not None
        teacher = (self.distillation and self.distillation.teacher_model) or model
        refuse_task(teacher)
        own = copy.copy(args)
        own.output_dir = str(Path(str(args.output_dir)) / SCHEDULE_FOLDER)
        schedule = self.scheduler.schedule(
            teacher,
            train_dataset=_without_teacher_logits(train_dataset),
            args=own,
            compute_metrics=compute_metrics,
            metric=metric or metric_name(compute_metrics, teacher, args.metric_for_best_model),
            **settings,
        )
        distillation = self.distillation or DistillationConfig(
            criterion=MiniDiscLossConfig(regression=is_regression(teacher.config))
        )
        distillation.teacher_model = schedule.assistant or teacher
        return Scheduled(teacher, schedule, distillation, self.pruning)


def scheduling_task(
    scheduler: str | Scheduler,
    scheduler_config: Mapping[str, Any] | None,
    distillation: DistillationConfig | None,
    pruning: WeightPruningConfig | None,
) -> SchedulingTask:
    """Check a scheduler and its settings against Neural Compressor's configs.

    The student's sparsity is `target_sparsity` of the scheduler's settings; the pruning config then works on the
    sliced student, on top. Where only the pruning config has one, the slices are that pruning and reach it at once.

    Raises:
        ConfigError: no sparsity anywhere, or a setting cannot be used.
    """
    settings = dict(scheduler_config or {})
    if isinstance(scheduler, Scheduler):
        if settings:
            raise ConfigError("scheduler_config: the scheduler is an object with settings of its own; leave it out")
        return SchedulingTask(scheduler, distillation, pruning)
    sparsity = settings.pop("target_sparsity", None)
    left = pruning
    if sparsity is None:
        if pruning is None:
            raise ConfigError(
                "scheduler_config.target_sparsity: missing; add the student's sparsity, such as 0.9, "
                "or a pruning config with one"
            )
        sparsity, left = pruning.weight_compression["target_sparsity"], None
    return SchedulingTask(make_scheduler(scheduler, settings, sparsity), distillation, left)


def refuse_task(model: nn.Module) -> None:
    """Refuse a model that Neural Compressor's distillation losses cannot follow.

    Raises:
        UnsupportedModelError: it is not a model of whole texts.
    """
    task = task_of_model(model)
    if not task.hosted:
        raise UnsupportedModelError(
            f"model: {type(model).__name__} is for task {task.name}, and Neural Compressor's losses compare whole "
            "texts only; compress it by `minidisc run` with trainer: transformers"
        )


def metric_name(compute_metrics: Callable[[Any], dict[str, float]], teacher: PreTrainedModel, named: str | None) -> str:
    """The metric that selects: the one that early stopping follows, or the only one there is.

    Raises:
        ConfigError: there are several, and none is named.
    """
    if named and named.removeprefix("eval_") != "loss":
        return named.removeprefix("eval_")
    keys = sorted(compute_metrics(perfect_predictions(teacher.config)))
    if len(keys) != 1:
        raise ConfigError(
            f"args.metric_for_best_model: missing; name the metric that compares candidates: {', '.join(keys)}"
        )
    return keys[0]


def _without_teacher_logits(dataset: Dataset) -> Dataset:
    """`INCTrainer` takes the teacher's logits from this column; the schedule runs its teachers itself."""
    names = getattr(dataset, "column_names", [])
    return dataset.remove_columns(TEACHER_LOGITS) if TEACHER_LOGITS in names else dataset
