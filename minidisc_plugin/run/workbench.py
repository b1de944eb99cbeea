"""The workbench of a prepared run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.metrics import result_key
from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.plugins import event
from minidisc_plugin.run.data.collating import collator_of
from minidisc_plugin.run.objective_choice import objective_of
from minidisc_plugin.run.trainer_choice import distiller_of
from minidisc_plugin.schedulers.means import Data, Score, Training
from minidisc_plugin.schedulers.workbench import Workbench
from minidisc_plugin.selection import MetricRange
from minidisc_plugin.training.early_stopping import EarlyStopping


def workbench_of(prepared: Prepared, resume: bool = False, callbacks: Sequence[Any] = ()) -> Workbench:
    """What the scheduler works with.

    Args:
        prepared: The checked run.
        resume: Go on from what its checkpoints hold.
        callbacks: As `Trainer` takes them, for every training stage.
    """
    config, task, splits = prepared.config, prepared.task, prepared.splits
    metric, patience = config.metric, config.early_stopping_patience
    return Workbench(
        prepared.teacher,
        partial(NestedModel, family=prepared.family, allocation=prepared.scheduler.allocation),
        task,
        Data(
            splits.train,
            splits.selection,
            splits.validation,
            collator_of(prepared),
            prepared.processor,
            splits.further,
        ),
        Score(
            result_key(metric.name),
            task.compute_metrics(metric, prepared.teacher.config),
            task.reduce,
            MetricRange(*metric.range) if metric.range else None,
        ),
        Training(
            prepared.args,
            objective_of(prepared),
            config.engine,
            [*callbacks, *([] if patience is None else [EarlyStopping(patience)])],
            distiller_of(config.trainer),
            resume,
        ),
        event,
    )
