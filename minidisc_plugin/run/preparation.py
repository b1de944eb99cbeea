"""From a config to everything a run needs, checked before anything is trained or written."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.run import Prepared, Splits
from minidisc_plugin.contracts.task import Task
from minidisc_plugin.foundation.bars import bars_on_terminals
from minidisc_plugin.integrations.requirements.diagnosis import installed_versions
from minidisc_plugin.run.resolving import Resolved, resolve
from minidisc_plugin.run.settled_budget import settings_of, settled_at_once

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

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


def prepare(
    config: CompressionConfig,
    checkpoints: Path,
    begun_in_bf16: bool | None = None,
    held_budget: Budget | None = None,
) -> Prepared:
    """Resolve and check a config; cheap checks come before slow ones, and nothing is written.

    Args:
        config: As read.
        checkpoints: Where training stages will keep theirs.
        begun_in_bf16: Of a run that goes on, what it found to be faster; None measures, where that decides.
        held_budget: Of a run that goes on, what it found its budget to be. One that has to be measured, and is not,
            leaves the scheduler that of the smallest student, and the section `pruning` as it is.

    Raises:
        MinidiscError: something in it cannot be used; the message names it.
    """
    before = dict(os.environ)
    try:
        with bars_on_terminals():
            from minidisc_plugin.run.data.references import with_references
            from minidisc_plugin.training.precision import with_precision

            resolved = resolve(config)
            resolved = replace(resolved, config=with_precision(resolved.config))
            prepared = with_references(_loaded(resolved, checkpoints, held_budget))
            prepared = _in_precision(prepared, checkpoints, begun_in_bf16)
            _try_out(prepared, resolved.config.training)
            return prepared
    except BaseException:
        # TrainingArguments leave marks there (of mixed precision, of sharding) that would decide about a next try.
        os.environ.clear()
        os.environ.update(before)
        raise


def _in_precision(prepared: Prepared, checkpoints: Path, begun_in_bf16: bool | None) -> Prepared:
    """The run in the precision that is faster on its device, where the config leaves it to that."""
    from minidisc_plugin.run.measuring.precision import chosen
    from minidisc_plugin.training.precision import is_measured, with_bf16

    if not is_measured(prepared.config):
        return prepared
    is_faster, found = chosen(prepared) if begun_in_bf16 is None else (begun_in_bf16, {})
    prepared = replace(prepared, precisions=found)
    if found:
        kind = "bf16" if is_faster else "fp32"
        logger.info("engine.half_precision: %s; seconds of a step's passes: %s", kind, found)
    if not is_faster:
        return prepared
    training = with_bf16(prepared.config.training)
    args = _arguments(prepared.config, training, checkpoints, prepared.task)
    return replace(prepared, args=args, config=prepared.config.model_copy(update={"training": training}))


def _loaded(resolved: Resolved, checkpoints: Path, held_budget: Budget | None) -> Prepared:
    """Teacher, processor and data of a resolved config, checked against each other."""
    from minidisc_plugin.foundation.model_files.types import student_type, type_of
    from minidisc_plugin.metrics import load_metric
    from minidisc_plugin.nested.deriving.derive import family_for
    from minidisc_plugin.nested.teacher import read_teacher
    from minidisc_plugin.plugins import families
    from minidisc_plugin.run.checks.consent import check_own_code
    from minidisc_plugin.run.checks.generation import check_generation
    from minidisc_plugin.run.checks.kept_outputs import check_kept_outputs
    from minidisc_plugin.run.checks.metric import rehearse_metric
    from minidisc_plugin.run.checks.trial import try_saving
    from minidisc_plugin.run.directory.inputs import checksums
    from minidisc_plugin.run.trainer_choice import choose_trainer
    from minidisc_plugin.tasks.processor import load_processor
    from minidisc_plugin.tasks.registry import variant

    config, known = resolved.config, families()
    args = _arguments(config, config.training, checkpoints, resolved.task)
    metric = load_metric(config.metric.name)
    check_generation(config, resolved.task, metric)
    teacher, saved = read_teacher(
        config.model, config.trust_remote_code, resolved.task, families=known, weights=config.engine.weights
    )
    if saved != type_of(teacher):
        logger.info("model: its weights are saved in %s, and trained in %s", saved, type_of(teacher))
    check_own_code(config, teacher)
    beside = resolved.task.equip(teacher, config.model)
    family = family_for(teacher, known)
    resolved, budget = settled_at_once(resolved, teacher, family, saved, held_budget)
    config = resolved.config
    task = variant(resolved.task, teacher.config)  # which may leave fewer trainers
    trainer = choose_trainer(config, task)
    check_kept_outputs(config, teacher, task)
    processor = load_processor(config.tokenizer or config.model, teacher, config.trust_remote_code, task)
    splits = _splits(config, task, processor, teacher, args.train_batch_size * args.world_size)
    rehearse_metric(config, task, teacher.config, splits)
    try_saving(config, processor, teacher)
    return Prepared(
        config=_whole(resolved, trainer, teacher, args),
        students=resolved.students,
        steps=resolved.steps,
        task=task,
        teacher=teacher,
        family=family,
        processor=processor,
        splits=splits,
        args=args,
        inputs=checksums(teacher, processor, splits, metric, beside, task.reader),
        saved_type=student_type(saved),
        budget=budget,
        beside=beside,
    )


def _splits(config: CompressionConfig, task: Task, processor: Any, teacher: PreTrainedModel, batch: int) -> Splits:
    """The data as features, checked against the teacher and against batches of so many examples."""
    from minidisc_plugin.run.checks.examples import check_lengths
    from minidisc_plugin.run.checks.further import check_further
    from minidisc_plugin.run.checks.judged import check_judged
    from minidisc_plugin.run.data.domains import check_domains
    from minidisc_plugin.run.data.loading import load_splits

    splits = load_splits(config, task, processor, teacher.config)
    check_further(config, splits, task, teacher.config)
    check_domains(config, splits, batch)
    check_judged(splits, task, teacher.config)
    check_lengths(config, splits, teacher, task)
    return splits


def _whole(resolved: Resolved, trainer: str, teacher: PreTrainedModel, args: TrainingArguments) -> CompressionConfig:
    """The config with every default filled in, as it is written and runs again."""
    from minidisc_plugin.foundation.model_files.types import type_of
    from minidisc_plugin.run.objective_choice import with_own_defaults
    from minidisc_plugin.training.arguments import with_defaults

    config, installed = resolved.config, installed_versions()
    return config.model_copy(
        update={
            "trainer": trainer,
            "distillation": with_own_defaults(config.distillation),
            "engine": config.engine.model_copy(update={"weights": type_of(teacher)}),
            "training": {
                "seed": config.seed,
                **with_defaults(config.training),
                "save_strategy": args.save_strategy.value,  # early stopping changes the default
            },
            "scheduler_config": {**config.scheduler_config, **settings_of(resolved.scheduler)},
            "versions": {name: installed[name] for name in VERSIONS_OF if name in installed},
        }
    )


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


def _try_out(prepared: Prepared, training: Mapping[str, Any]) -> None:
    """Compute a few examples, and make what training stages are made of.

    Args:
        prepared: The run.
        training: The section as the user and the protocol gave it, whose keys messages name.

    Raises:
        ConfigError: something cannot be made; names the key where it can be told.
    """
    from minidisc_plugin.run.checks.generation import try_generation
    from minidisc_plugin.run.checks.padding import check_padding
    from minidisc_plugin.run.checks.trial import try_objective, try_teacher
    from minidisc_plugin.run.workbench import workbench_of
    from minidisc_plugin.training.arguments import attempted

    try_teacher(prepared)
    check_padding(prepared)
    try_generation(prepared)
    try_objective(prepared)
    for step in prepared.steps:
        step.check_run(prepared)
    checkpoints = Path(str(prepared.args.output_dir))

    def make(settings: Mapping[str, Any]) -> None:
        chosen = settings is training
        args = prepared.args if chosen else _arguments(prepared.config, settings, checkpoints, prepared.task)
        workbench_of(replace(prepared, args=args)).rehearse()

    attempted(make, training)
