"""`prepare_compression` of Neural Compressor, with a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neural_compressor import training
from neural_compressor.config import DistillationConfig, WeightPruningConfig

from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.integrations.inc.scheduling import scheduling_task

if TYPE_CHECKING:
    from datasets import Dataset
    from neural_compressor.training import CompressionManager
    from transformers import PreTrainedModel, TrainingArguments


def prepare_compression(
    model: PreTrainedModel,
    confs: Any,
    *,
    scheduler: str | Scheduler | None = None,
    scheduler_config: Mapping[str, Any] | None = None,
    train_dataset: Dataset | None = None,
    args: TrainingArguments | None = None,
    compute_metrics: Callable[[Any], dict[str, float]] | None = None,
    metric: str | None = None,
    resume: bool = False,
    processing_class: Any = None,
    data_collator: Any = None,
    eval_dataset: Dataset | None = None,
    selection_dataset: Dataset | None = None,
    **kwargs: Any,
) -> CompressionManager:
    """As `neural_compressor.training.prepare_compression`; with `scheduler`, the assistant is chosen first.

    Args:
        model: The model to compress; the teacher too, where no DistillationConfig names one.
        confs: One of Neural Compressor's configs, or a list of them. DistillationConfig gets the assistant as its
            `teacher_model`; without one the paper's loss is used.
        scheduler: A name, or a scheduler with its settings; None leaves everything to Neural Compressor.
        scheduler_config: The scheduler's settings; `target_sparsity` is the student's, else WeightPruningConfig's.
        train_dataset: Tokenised examples with `labels`.
        args: Of the stages that choose the assistant; they work in the folder `schedule` of `args.output_dir`.
        compute_metrics: As `Trainer` takes it.
        metric: The key of its result that selects, where there are several.
        resume: Go on with a schedule that was cut off.
        processing_class: The tokenizer.
        data_collator: As `Trainer` takes it.
        eval_dataset: For early stopping, when `args` ask for it.
        selection_dataset: For importance and selection; carved from `train_dataset` when left out.
        **kwargs: Passed on.

    Returns:
        Neural Compressor's own manager of the sliced student, `manager.model.model`; `manager.schedule` says how the
        assistant was chosen.

    Raises:
        MinidiscError: a setting, the data, the metric or the model cannot be used.
    """
    if scheduler is None:
        return training.prepare_compression(model, confs, **kwargs)
    given = list(confs) if isinstance(confs, Sequence) else [confs]
    task = scheduling_task(
        scheduler, scheduler_config, _first(given, DistillationConfig), _first(given, WeightPruningConfig)
    )
    scheduled = task.run(
        model,
        train_dataset=train_dataset,
        args=args,
        compute_metrics=compute_metrics,
        metric=metric,
        resume=resume,
        processing_class=processing_class,
        data_collator=data_collator,
        eval_dataset=eval_dataset,
        selection_dataset=selection_dataset,
    )
    others = [conf for conf in given if not isinstance(conf, (DistillationConfig, WeightPruningConfig))]
    left = [conf for conf in (scheduled.pruning, scheduled.distillation, *others) if conf is not None]
    manager = training.prepare_compression(scheduled.schedule.student, left, **kwargs)
    manager.schedule = scheduled.schedule
    return manager


def _first(confs: Sequence[Any], kind: type) -> Any:
    return next((conf for conf in confs if isinstance(conf, kind)), None)
