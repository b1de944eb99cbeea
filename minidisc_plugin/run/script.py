"""`Scheduler.schedule` in a script of one's own, which leaves out what a config would say; and what it is made with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from minidisc_plugin.contracts.config import EngineConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.contracts.presets import FAST_ENGINE, engine_of
from minidisc_plugin.contracts.pruning import PruningConfig
from minidisc_plugin.contracts.scheduler import Schedule, Scheduler, ScriptInputs
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.contracts.values import check_apart
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.types import in_type, trained_type, type_of
from minidisc_plugin.nested.deriving.derive import family_for
from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.plugins import event, families
from minidisc_plugin.plugins.schedulers import decide, decide_each, scales_of
from minidisc_plugin.run import good_enough
from minidisc_plugin.run.data.splits import carve
from minidisc_plugin.run.directory.script_record import begin
from minidisc_plugin.run.good_enough import Found
from minidisc_plugin.schedulers.means import Data, Score, Training
from minidisc_plugin.schedulers.workbench import Workbench
from minidisc_plugin.selection import MetricRange
from minidisc_plugin.tasks.registry import task_of_model
from minidisc_plugin.training.domain_batches import domains_of

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, TrainingArguments

logger = logging.getLogger(__name__)


def schedule(scheduler: Scheduler, teacher: PreTrainedModel, **inputs: Unpack[ScriptInputs]) -> Schedule:
    """Choose the assistants.

    Args:
        scheduler: With its settings.
        teacher: A fine-tuned model; its weights are left as they are.
        **inputs: See ScriptInputs.

    Raises:
        MinidiscError: a setting, the data, the metric or the model cannot be used.
    """
    return decide(scheduler, workbench(scheduler, teacher, **inputs))


def schedules(
    students: Sequence[Scheduler], teacher: PreTrainedModel, **inputs: Unpack[ScriptInputs]
) -> list[Schedule]:
    """Choose the assistants of several students of one teacher, with what they can share made once.

    Args:
        students: A scheduler for each: of one kind, with the same settings but for `target_sparsity` and `candidates`.
        teacher: A fine-tuned model; its weights are left as they are.
        **inputs: See ScriptInputs.

    Returns:
        A schedule for each, in the order of `students`.

    Raises:
        MinidiscError: a setting, the data, the metric or the model cannot be used.
    """
    ordered = sorted(students, key=lambda one: -one.target_scale)
    _check_alike(ordered)
    *larger, smallest = ordered
    bench = workbench(smallest, teacher, larger, **inputs)
    decided = decide_each(ordered, bench)
    made = {one.target_scale: decided(one) for one in ordered}
    return [made[one.target_scale] for one in students]


def smallest_good_enough(
    students: Sequence[Scheduler],
    teacher: PreTrainedModel,
    max_loss: float | str,
    confidence: float | None = None,
    **inputs: Unpack[ScriptInputs],
) -> Found:
    """Distil a few of several students of one teacher, and take the smallest that is good enough.

    They are compared with the teacher on `eval_dataset`, which it should not have been fine-tuned on; without one, on
    the selection split. Where none is good enough, that which loses least is taken: see `found.budget.search.kept`.

    Args:
        students: See schedules.
        teacher: A fine-tuned model; its weights are left as they are.
        max_loss: Share of the metric's range that the student may lose, in [0, 1), or text such as "1%".
        confidence: How sure the search has to be of that, in [0.5, 1); that of a config when left out.
        **inputs: See ScriptInputs.

    Returns:
        `scheduler` and `schedule` of the student, which is `schedule.student` and distilled; and what was tried.

    Raises:
        MinidiscError: a setting, the data, the metric or the model cannot be used.
    """
    pruning = validate(PruningConfig, {"max_loss": max_loss, "confidence": confidence})
    ordered = sorted(students, key=lambda one: -one.target_scale)
    _check_alike(ordered)
    *larger, smallest = ordered
    bench = workbench(smallest, teacher, larger, **inputs)
    return good_enough.smallest_good_enough(
        ordered, bench, decide_each(ordered, bench), pruning, inputs.get("eval_dataset")
    )


def _check_alike(students: Sequence[Scheduler]) -> None:
    """Refuse schedulers that are no several students of one run.

    Raises:
        ConfigError: says why.
    """
    if not students:
        raise ConfigError("students: there is none; give a scheduler for each, such as MiniDisc(target_sparsity=0.9)")
    settings = [one.model_dump(exclude={"target_sparsity", "candidates"}) for one in students]
    if len({type(one) for one in students}) > 1 or any(own != settings[0] for own in settings):
        raise ConfigError(
            "students: their schedulers differ in more than target_sparsity and candidates; give alike ones"
        )
    try:
        check_apart([one.target_sparsity for one in students])
    except ValueError as error:
        raise ConfigError(f"students: target_sparsity {error}") from None


def workbench(
    scheduler: Scheduler,
    teacher: PreTrainedModel,
    larger: Sequence[Scheduler] = (),
    *,
    train_dataset: Dataset,
    args: TrainingArguments,
    compute_metrics: Callable[[Any], dict[str, float]],
    metric: str,
    processing_class: Any = None,
    eval_dataset: Dataset | None = None,
    selection_dataset: Dataset | None = None,
    selection_size: float = 0.1,
    metric_range: tuple[float, float] | None = None,
    data_collator: Any = None,
    preprocess_logits_for_metrics: Callable[..., Any] | None = None,
    objective: Objective | None = None,
    engine: EngineConfig | None = None,
    resume: bool = False,
) -> Workbench:
    """What a scheduler composes; the arguments are explained in `contracts.scheduler.ScriptInputs`.

    `larger` are the schedulers of further students, which are larger, where there are several. A teacher of half
    precision is widened as that of a run is; the caller's own stays in its type.

    Raises:
        MinidiscError: a setting, the data, the metric or the model cannot be used.
    """
    for one in (*larger, scheduler):
        scales_of(one)
    if objective is not None and objective.settings.augment:
        raise ConfigError(
            f"distillation.augment: {objective.settings.augment}: a script's texts are tokenised already, and not "
            "altered here; set it to 0"
        )
    if objective is not None and objective.reads_domains:
        domains_of(train_dataset)
    if selection_dataset is None:
        train_dataset, selection_dataset = carve(train_dataset, selection_size, args.seed)
    task = task_of_model(teacher)
    if task.follows_teacher:
        raise ConfigError(
            f"teacher: a {type(teacher).__name__} has no head, so nothing says what it is for; give a model with "
            f"one, or compress embeddings by a config with task: {task.name}"
        )
    trained = trained_type(engine.weights if engine else None, type_of(teacher), teacher.num_parameters())
    if trained != type_of(teacher):
        logger.info("teacher: its weights are in %s, and trained in %s", type_of(teacher), trained)
        teacher = in_type(teacher, trained)

    def network(model: PreTrainedModel) -> NestedModel:
        return NestedModel(model, family_for(model, families()), scheduler.allocation)

    paper = MiniDiscObjective(DistillationConfig(), regression=task.regression(teacher.config))
    data = Data(train_dataset, selection_dataset, eval_dataset, data_collator, processing_class)
    known = MetricRange(*metric_range) if metric_range else None
    score = Score(metric, compute_metrics, preprocess_logits_for_metrics, known)
    training = Training(args, objective or paper, engine_of(engine, "fast") if engine else FAST_ENGINE, resume=resume)
    begin([*larger, scheduler], teacher, data, score, training)
    return Workbench(teacher, network, task, data, score, training, event)
