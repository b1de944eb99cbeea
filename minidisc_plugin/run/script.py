"""`Scheduler.schedule`: a schedule made in a script of one's own, which leaves out what a config would say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Unpack

from minidisc_plugin.contracts.config import DistillationConfig
from minidisc_plugin.contracts.presets import FAST_ENGINE, engine_of
from minidisc_plugin.contracts.scheduler import Schedule, Scheduler, ScriptInputs
from minidisc_plugin.nested.family import family_of
from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.plugins import event, families
from minidisc_plugin.plugins.schedulers import decide, scales_of
from minidisc_plugin.run.data.splits import carve
from minidisc_plugin.schedulers.means import Data, Score, Training
from minidisc_plugin.schedulers.workbench import Workbench
from minidisc_plugin.selection import MetricRange
from minidisc_plugin.tasks.registry import task_of_model
from minidisc_plugin.training.objectives import MiniDiscObjective

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def schedule(scheduler: Scheduler, teacher: PreTrainedModel, **inputs: Unpack[ScriptInputs]) -> Schedule:
    """Choose the assistants.

    Args:
        scheduler: With its settings.
        teacher: A fine-tuned model; its weights are left as they are.
        **inputs: See ScriptInputs.

    Raises:
        MinidiscError: a setting, the data, the metric or the model cannot be used.
    """
    scales_of(scheduler)
    args, train, selection = inputs["args"], inputs["train_dataset"], inputs.get("selection_dataset")
    if selection is None:
        train, selection = carve(train, inputs.get("selection_size", 0.1), args.seed)
    task, family = task_of_model(teacher), family_of(teacher.config, families())
    engine, metric_range = inputs.get("engine"), inputs.get("metric_range")
    objective = inputs.get("objective") or MiniDiscObjective(
        DistillationConfig(), regression=task.regression(teacher.config)
    )
    bench = Workbench(
        teacher,
        partial(NestedModel, family=family, allocation=scheduler.allocation),
        task,
        Data(train, selection, inputs.get("eval_dataset"), inputs.get("data_collator"), inputs.get("processing_class")),
        Score(
            inputs["metric"],
            inputs["compute_metrics"],
            inputs.get("preprocess_logits_for_metrics"),
            MetricRange(*metric_range) if metric_range else None,
        ),
        Training(
            args,
            objective,
            engine_of(engine, "fast") if engine else FAST_ENGINE,
            resume=inputs.get("resume", False),
        ),
        event,
    )
    return decide(scheduler, bench)
