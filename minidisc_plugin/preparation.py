"""From a config to everything a run needs, checked before anything is trained or written."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.config import CompressionConfig
from minidisc_plugin.config_file import check_whole, settings_of, unknown_key, validate
from minidisc_plugin.consent import check_consent
from minidisc_plugin.doctor import installed_versions
from minidisc_plugin.errors import ConfigError
from minidisc_plugin.idle import check_idle
from minidisc_plugin.places import check_places
from minidisc_plugin.plugins import host, pick
from minidisc_plugin.plugins.guarded import make_objective, make_step
from minidisc_plugin.protocol import with_protocol
from minidisc_plugin.redaction import remember
from minidisc_plugin.schedulers.checked import settle

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

    from minidisc_plugin.data import Splits
    from minidisc_plugin.schedulers.base import Scheduler
    from minidisc_plugin.schedulers.workbench import Workbench
    from minidisc_plugin.steps import Step
    from minidisc_plugin.tasks import Task

logger = logging.getLogger(__name__)

VERSIONS_OF = (
    "minidisc-plugin",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "evaluate",
    "optimum",
    "optimum-intel",
    "neural-compressor",
    "numpy",
)

_MAIN_STEPS = ("schedule", "distil", "report")


@dataclass(frozen=True)
class Prepared:
    """A checked run.

    Attributes:
        config: With every default filled in.
        scheduler: With its settings.
        steps: Pipeline steps in order.
        task: What the teacher does.
        teacher: The fine-tuned model.
        tokenizer: Its tokenizer.
        splits: The tokenised dataset.
        args: Of every training stage.
        inputs: Checksum of each thing that the run is made from, by what it is called in messages.
        saved_type: The type of weights in which students and assistants are saved, as torch calls it.
    """

    config: CompressionConfig
    scheduler: Scheduler
    steps: list[Step]
    task: Task
    teacher: PreTrainedModel
    tokenizer: Any
    splits: Splits
    args: TrainingArguments
    inputs: Mapping[str, str]
    saved_type: str

    def workbench(self, resume: bool = False) -> Workbench:
        """What the scheduler works with."""
        from minidisc_plugin.metrics import result_key
        from minidisc_plugin.schedulers.workbench import Workbench
        from minidisc_plugin.training.early_stopping import EarlyStopping

        metric, task = self.config.metric, self.task
        objective = pick("objective", self.config.distillation.objective, "distillation.objective")
        patience = self.config.early_stopping_patience
        return Workbench(
            teacher=self.teacher,
            train_dataset=self.splits.train,
            selection_dataset=self.splits.selection,
            validation_dataset=self.splits.validation,
            args=self.args,
            compute_metrics=task.compute_metrics(metric, self.teacher.config),
            preprocess_logits_for_metrics=task.reduce,
            data_collator=self.collator(),
            task=task,
            metric=result_key(metric.name),
            metric_range=metric.range,
            objective=make_objective(
                objective, self.config.distillation, regression=task.regression(self.teacher.config)
            ),
            processing_class=self.tokenizer,
            make_distiller=_distiller(self.config.trainer),
            allocation=self.scheduler.allocation,
            engine=self.config.engine,
            resume=resume,
            callbacks=[] if patience is None else [EarlyStopping(patience)],
        )

    def collator(self) -> Any:
        """Makes batches: the task's, or one that pads as the tokenizer does."""
        from transformers import DataCollatorWithPadding

        from minidisc_plugin.training.padding import PaddedTo

        collator = self.task.collator(self.tokenizer) or DataCollatorWithPadding(self.tokenizer)
        if self.config.engine.padding != "max_length":
            return collator
        return PaddedTo(collator, self.config.max_length, self.tokenizer.pad_token_id, self.task.whole_columns)


def _trainer(config: CompressionConfig, task: Task) -> str:
    """What distils the student: what the config says, or Optimum Intel's where it can.

    Args:
        config: As read.
        task: What the student does.

    Raises:
        HostError: the config says `inc`, and the host cannot work.
    """
    from minidisc_plugin.integrations.hosts import available, require
    from minidisc_plugin.training.sharding import wants_sharding

    hosted = task.hosted
    if config.trainer == "inc" and not hosted:
        raise ConfigError(f"trainer: 'inc' has no loss for {task.said}; set trainer: transformers")
    sharded = wants_sharding(config.training)
    if config.trainer == "inc" and sharded:
        raise ConfigError("trainer: 'inc' does not shard by FSDP; set trainer: transformers, or remove training.fsdp")
    if config.trainer == "inc":
        require("inc")
    if config.trainer is not None:
        return config.trainer
    has_loss = config.distillation.objective in ("minidisc", "knowledge_distillation")
    return "inc" if hosted and not sharded and has_loss and available("inc") else "transformers"


def _distiller(trainer: str | None) -> Any:
    """The class of the student's Trainer; None is the workbench's own."""
    if trainer != "inc":
        return None
    from minidisc_plugin.integrations.optimum.distiller import INCDistiller

    return INCDistiller


def make_scheduler(name: str, scheduler_config: Mapping[str, Any], target_sparsity: float) -> Scheduler:
    """The scheduler of a name, with checked settings.

    Args:
        name: What a config's key `scheduler` may hold.
        scheduler_config: Its settings, without the student's sparsity.
        target_sparsity: The student's sparsity, in (0, 1).

    Raises:
        ConfigError: it is not installed, or a setting cannot be used.
    """
    found = host().schedulers()
    registered = pick("scheduler", name, "scheduler")
    scheduler_class = registered.item
    if "target_sparsity" in scheduler_config:
        raise ConfigError("scheduler_config.target_sparsity: set pruning.target_sparsity instead")
    settings = {**scheduler_config, "target_sparsity": target_sparsity}
    # One config serves every scheduler: a key that only others know is passed over, one that none knows is not.
    known = {key for scheduler in found.values() for key in settings_of(scheduler)}
    for key in sorted(scheduler_config):
        if key not in known:
            raise ConfigError(unknown_key(f"scheduler_config.{key}", sorted(known - {"target_sparsity"})))
        if key not in settings_of(scheduler_class):
            logger.info("scheduler_config.%s is not used by scheduler %s", key, name)
            del settings[key]
    with registered.calling("made"):
        scheduler: Scheduler = validate(scheduler_class, settings, prefix="scheduler_config.")
    settle(scheduler, target_sparsity)
    return scheduler


def prepare(config: CompressionConfig, checkpoints: Path) -> Prepared:
    """Resolve and check a config; cheap checks come before slow ones, and nothing is written.

    Args:
        config: As read.
        checkpoints: Where training stages will keep theirs.

    Raises:
        MinidiscError: something in it cannot be used; the message names it.
    """
    remember(config.model_dump(mode="json"))
    from minidisc_plugin.bars import bars_on_terminals

    before = dict(os.environ)
    try:
        with bars_on_terminals():
            return _prepare(config, checkpoints)
    except BaseException:
        # TrainingArguments leave marks there (of mixed precision, of sharding) that would decide about a next try.
        os.environ.clear()
        os.environ.update(before)
        raise


def _prepare(config: CompressionConfig, checkpoints: Path) -> Prepared:
    from minidisc_plugin.training.arguments import DEFAULTS, with_defaults
    from minidisc_plugin.training.keys import check_training

    check_whole(config)
    check_places(config)
    check_consent(config)
    config = with_protocol(config)
    check_training(config.training)
    check_idle(config, DEFAULTS)
    scheduler = make_scheduler(config.scheduler, config.scheduler_config, config.pruning.target_sparsity)
    for name in _MAIN_STEPS:
        if name in config.steps:
            raise ConfigError(f"steps: {name!r} is part of every run; leave it out")
    *first, last = _MAIN_STEPS
    steps = [make_step(pick("step", name, "steps")) for name in (*first, *config.steps, last)]
    pick("objective", config.distillation.objective, "distillation.objective")
    from minidisc_plugin.tasks import TASKS, load_tokenizer, read_teacher

    task = TASKS[config.task]()
    _trainer(config, task)
    for step in steps:
        step.check(config)

    from minidisc_plugin.checks import check_lengths, rehearse_metric
    from minidisc_plugin.data import load_splits
    from minidisc_plugin.inputs import checksums
    from minidisc_plugin.metrics import load_metric
    from minidisc_plugin.model_files.types import student_type, type_of
    from minidisc_plugin.nested.family import family_of
    from minidisc_plugin.training.precision import with_precision
    from minidisc_plugin.trial import try_saving, try_teacher

    config = with_precision(config)
    args = _arguments(config, config.training, checkpoints, task)
    metric = load_metric(config.metric.name)
    teacher, saved = read_teacher(config.model, config.trust_remote_code, task, weights=config.engine.weights)
    if saved != type_of(teacher):
        logger.info("model: its weights are saved in %s, and trained in %s", saved, type_of(teacher))
    family_of(teacher.config)
    task = task.of_model(teacher.config)  # which may leave fewer trainers
    trainer = _trainer(config, task)
    tokenizer = load_tokenizer(config.tokenizer or config.model, teacher, config.trust_remote_code, task)
    splits = load_splits(config, task, tokenizer, teacher.config)
    check_lengths(config, splits, teacher)
    rehearse_metric(config, task, teacher)
    installed = installed_versions()
    resolved = config.model_copy(
        update={
            "trainer": trainer,
            "engine": config.engine.model_copy(update={"weights": type_of(teacher)}),
            "training": {
                "seed": config.seed,
                **with_defaults(config.training),
                "save_strategy": args.save_strategy.value,  # early stopping changes the default
            },
            "scheduler_config": {
                **config.scheduler_config,
                **scheduler.model_dump(mode="json", by_alias=True, exclude={"target_sparsity"}, exclude_none=True),
            },
            "versions": {name: installed[name] for name in VERSIONS_OF if name in installed},
        }
    )
    inputs = checksums(teacher, tokenizer, splits, metric)
    prepared = Prepared(resolved, scheduler, steps, task, teacher, tokenizer, splits, args, inputs, student_type(saved))
    try_teacher(prepared)
    try_saving(prepared)
    _rehearse(prepared, config)
    return prepared


def _arguments(
    config: CompressionConfig, settings: Mapping[str, Any], checkpoints: Path, task: Task
) -> TrainingArguments:
    """Of every training stage, from the section `training` or a part of it."""
    from minidisc_plugin.metrics import result_key
    from minidisc_plugin.training.arguments import training_arguments

    metric = result_key(config.metric.name)
    args = training_arguments(settings, checkpoints, config.early_stopping_patience, metric)
    if task.own_labels:
        args.label_names = list(task.label_names)
    return args


def _rehearse(prepared: Prepared, config: CompressionConfig) -> None:
    """Make what training stages are made of; the objective and the metric's range are checked by it, too.

    Raises:
        ConfigError: something cannot be made; names the key where it can be told.
    """
    from minidisc_plugin.training.arguments import attempted

    checkpoints = Path(str(prepared.args.output_dir))

    def make(settings: Mapping[str, Any]) -> None:
        chosen = settings is config.training
        args = prepared.args if chosen else _arguments(config, settings, checkpoints, prepared.task)
        replace(prepared, args=args).workbench().rehearse()

    attempted(make, config.training)
