"""What a run would do and cost, without training: candidates, stages, steps, relative cost, files."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.config import CompressionConfig
from minidisc_plugin.preparation import Prepared, prepare
from minidisc_plugin.reporting.records import Candidate
from minidisc_plugin.run_directory import FILES, RunDirectory
from minidisc_plugin.storage import hugging_face_home, storage_errors

if TYPE_CHECKING:
    from minidisc_plugin.calibration import Calibration
    from minidisc_plugin.nested.model import NestedModel
    from minidisc_plugin.reporting.memory import Memory

# A backward pass costs about two forward passes.
PASSES_OF_A_TRAINED_EXAMPLE = 3


@dataclass(frozen=True)
class StageCost:
    """One training stage.

    Attributes:
        name: Of the stage.
        steps: Optimizer steps.
        relative_cost: Multiply-accumulates, 1 being the fine-tuning of the teacher for as many epochs.
        seconds: As predicted from a calibration on this machine; None without one.
        relative_time: The same, 1 being the fine-tuning of the teacher for as many epochs.
    """

    name: str
    steps: int
    relative_cost: float
    seconds: float | None = None
    relative_time: float | None = None


@dataclass(frozen=True)
class Plan:
    """A run that was not started.

    Attributes:
        scheduler: Its name.
        candidates: With sizes per layer; none has a metric.
        student: The student's sizes.
        teacher: The teacher's sizes.
        macs: Multiply-accumulates of one example by scale, at `sequence_length` tokens.
        sequence_length: The median length of the reported split.
        memory: Of each device while the stage with the largest network trains.
        calibration: What passes take on this machine; None where it was not asked for.
        cached: Whether stages read their teacher's outputs from a cache.
        stages: With steps and cost; stages after the choice are priced as if the largest candidate won.
        output_dir: Where a run would write.
        writes: Names there, and what each is.
    """

    scheduler: str
    candidates: list[Candidate]
    student: Candidate
    teacher: Candidate
    macs: dict[float, int]
    sequence_length: int
    memory: Memory
    calibration: Calibration | None
    cached: bool
    stages: list[StageCost]
    output_dir: Path
    writes: dict[str, str]


def make_plan(config: CompressionConfig, *, calibrated: bool = True) -> Plan:
    """Check a config, rank the teacher's heads and neurons, and price every stage; writes nothing.

    Args:
        config: As read.
        calibrated: Measure what passes take on this machine, in seconds for a small model.

    Raises:
        MinidiscError: something in the config cannot be used.
    """
    from minidisc_plugin.reporting.results import typical_batch
    from minidisc_plugin.training.teacher_store import reads_cache

    with storage_errors(hugging_face_home()), tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(config, Path(scratch))
        bench = prepared.workbench()
        nested = bench.ranked_network()
    scales = prepared.scheduler.candidate_scales()
    target = prepared.scheduler.target_scale
    *candidates, student, teacher = nested.describe([*scales, target, 1.0])
    batch = typical_batch(prepared)
    parameters = {record.scale: record.parameters for record in (*candidates, student, teacher)}
    macs = {scale: _macs(nested, scale, batch) for scale in {*scales, target, 1.0}}
    calibration = _calibration(prepared, nested, batch) if calibrated else None
    cached = reads_cache(prepared.config.engine.teacher_cache, prepared.args, len(prepared.splits.train))
    return Plan(
        scheduler=prepared.config.scheduler,
        candidates=candidates,
        student=student,
        teacher=teacher,
        macs=macs,
        sequence_length=batch["input_ids"].shape[1],
        memory=_memory(prepared, nested, batch),
        calibration=calibration,
        cached=cached,
        stages=_stage_costs(prepared, macs, parameters, calibration, cached),
        output_dir=RunDirectory(config.output_dir).root,
        writes=FILES | {name: what for step in prepared.steps for name, what in step.writes.items()},
    )


def _memory(prepared: Prepared, nested: NestedModel, batch: Mapping[str, Any]) -> Memory:
    """Of the stage with the largest network, to which `nested` is trimmed."""
    from minidisc_plugin.processes import process_count
    from minidisc_plugin.reporting.memory import training_memory
    from minidisc_plugin.training.sharding import wants_sharding

    nested.trim(max(scale for stage in prepared.scheduler.stages() for scale in stage.passes))
    devices = process_count() if wants_sharding(prepared.config.training) else 1
    return training_memory(prepared.teacher, nested.model, batch, prepared.args, devices)


def _calibration(prepared: Prepared, nested: NestedModel, batch: Mapping[str, Any]) -> Calibration:
    """Of every scale that a stage trains or follows."""
    from minidisc_plugin.calibration import calibrate

    stages = prepared.scheduler.stages()
    nested.model.to(prepared.args.device)
    return calibrate(
        nested,
        batch,
        prepared.args.per_device_train_batch_size,
        {1.0, *(scale for stage in stages for scale in stage.passes)},
        {stage.teacher_scale for stage in stages},
        prepared.task.options,
    )


def _stage_costs(
    prepared: Prepared,
    macs: Mapping[float, int],
    parameters: Mapping[float, int],
    calibration: Calibration | None,
    cached: bool,
) -> list[StageCost]:
    unit = PASSES_OF_A_TRAINED_EXAMPLE * macs[1.0]
    costs = []
    for stage in prepared.scheduler.stages():
        trained = sum(PASSES_OF_A_TRAINED_EXAMPLE * macs[scale] * passes for scale, passes in stage.passes.items())
        # Only a standalone student is left to INCTrainer; nested networks are not.
        by_inc = prepared.config.trainer == "inc" and list(stage.passes) == [prepared.config.target_scale]
        steps = _steps(prepared, by_inc)
        # A cache runs the teacher once for each example, and not in every epoch.
        share = 1 / _epochs(prepared, steps) if cached and not by_inc else 1.0
        cost = (macs[stage.teacher_scale] * share + trained) / unit
        if calibration is None:
            costs.append(StageCost(stage.name, steps, cost))
            continue
        a_step = calibration.frozen[stage.teacher_scale] * share
        a_step += sum(calibration.trained[scale] * passes for scale, passes in stage.passes.items())
        a_step += calibration.update * parameters[max(stage.passes)]
        tuning = calibration.trained[1.0] + calibration.update * parameters[1.0]
        costs.append(StageCost(stage.name, steps, cost, steps * a_step, a_step / tuning))
    return costs


def _epochs(prepared: Prepared, steps: int) -> float:
    """How often a stage of so many steps sees an example, at least once."""
    args = prepared.args
    seen: int = steps * args.train_batch_size * args.world_size * args.gradient_accumulation_steps
    return max(1.0, seen / len(prepared.splits.train))


def _steps(prepared: Prepared, by_inc: bool) -> int:
    """Optimizer steps of a stage; INCTrainer leaves out the last ones of an epoch that accumulate too few batches."""
    args = prepared.args
    if args.max_steps > 0:
        return int(args.max_steps)
    batches = math.ceil(len(prepared.splits.train) / (args.train_batch_size * args.world_size))
    share = batches / args.gradient_accumulation_steps
    an_epoch = max(1, math.floor(share)) if by_inc else math.ceil(share)
    steps: int = math.ceil(an_epoch * args.num_train_epochs)
    return steps


def _macs(nested: NestedModel, scale: float, batch: object) -> int:
    from minidisc_plugin.reporting.measure import macs

    nested.set_scale(scale)
    single = {name: value[:1] for name, value in batch.items()}  # type: ignore[attr-defined]
    return macs(nested.model, single)
