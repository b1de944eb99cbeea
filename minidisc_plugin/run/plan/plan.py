"""What a run would do and cost, without training: candidates, stages, memory, files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.output import (
    FILES,
    OF_A_SEARCH,
    OF_THE_RUN,
    RECORD_FILE,
    RESOLVED_CONFIG,
    SEARCH,
    student_folder,
)
from minidisc_plugin.contracts.records import Candidate
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.foundation.disks import hugging_face_home
from minidisc_plugin.foundation.litter import no_litter
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.plugins.schedulers import scales_of
from minidisc_plugin.run.checks.teacher import check_teacher
from minidisc_plugin.run.directory.folder import RunDirectory
from minidisc_plugin.run.plan.space import Space, estimate
from minidisc_plugin.run.plan.stage_costs import StageCost, epoch_of, stage_costs
from minidisc_plugin.run.plan.stages import planned_stages
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.settled_budget import settled

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

    from minidisc_plugin.contracts.input_shape import InputShape
    from minidisc_plugin.nested.model import NestedModel
    from minidisc_plugin.run.measuring.saturation import Serving
    from minidisc_plugin.run.plan.calibration import Calibration
    from minidisc_plugin.training.device_memory import Memory


@dataclass(frozen=True)
class Plan:
    """A run that was not started.

    Attributes:
        scheduler: Its name.
        candidates: With sizes per layer; none has a metric.
        students: The sizes of each student, from the largest to the smallest.
        teacher: The teacher's sizes.
        macs: Multiply-accumulates of one example by scale, of the size `timed_on`.
        timed_on: The size of an example; of texts the median length of the reported split.
        memory: Of each device while the stage with the largest network trains.
        space: On disk while the run lasts.
        calibration: What passes take on this machine; None where it was not asked for.
        serving: Teacher and student by scale, on a CUDA device where that is to be measured; else empty.
        cached: Whether stages read their teacher's outputs from a cache.
        rows: Examples that epochs draw theirs from, by where they come from; empty where labelled ones are all.
        stages: With steps and cost; stages after the choice are priced as if the largest candidate won.
        searches: Whether those of students are of a search for the smallest that is good enough, where none is.
        derived_family: The model type, where no family is declared for it and one was derived and verified.
        output_dir: Where a run would write.
        writes: Names there, and what each is.
    """

    scheduler: str
    candidates: list[Candidate]
    students: list[Candidate]
    teacher: Candidate
    macs: dict[float, int]
    timed_on: InputShape
    memory: Memory
    space: Space
    calibration: Calibration | None
    serving: dict[float, Serving]
    cached: bool
    rows: dict[str, int]
    stages: list[StageCost]
    searches: bool
    derived_family: str | None
    output_dir: Path
    writes: dict[str, str]


@no_litter()
def make_plan(config: CompressionConfig, *, calibrated: bool = True) -> Plan:
    """Check a config, rank the teacher's heads and neurons, and price every stage; writes nothing.

    Args:
        config: As read.
        calibrated: Measure what passes take on this machine, in seconds for a small model.

    Raises:
        MinidiscError: something in the config cannot be used.
    """
    from minidisc_plugin.run.measuring.batch import typical_batch
    from minidisc_plugin.run.workbench import workbench_of

    with storage_errors(hugging_face_home()), tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(config, Path(scratch))
        check_teacher(prepared)
        bench = workbench_of(prepared)
        prepared = settled(prepared, bench, config)
        nested = bench.ranked_network()
        space = estimate(prepared, bench)
    targets = [scheduler.target_scale for scheduler in prepared.students]
    scales = sorted({scale for one in prepared.students for scale in scales_of(one)}, reverse=True)
    (teacher,), students, candidates = (nested.describe(some) for some in ([1.0], targets, scales))
    batch = typical_batch(prepared)
    parameters = {record.scale: record.parameters for record in (*candidates, *students, teacher)}
    macs = {scale: _macs(nested, scale, batch) for scale in parameters}
    calibration = _calibration(prepared, nested) if calibrated else None
    serving = _serving(prepared, nested, batch) if calibrated else {}
    splits = prepared.splits
    cached = space.cache > 0
    return Plan(
        scheduler=prepared.config.scheduler,
        candidates=candidates,
        students=students,
        teacher=teacher,
        macs=macs,
        timed_on=prepared.task.shape_of(batch),
        memory=_memory(prepared, nested, batch),
        space=space,
        calibration=calibration,
        serving=serving,
        cached=cached,
        rows=splits.rows,
        stages=stage_costs(prepared, macs, parameters, calibration, cached),
        searches=prepared.searches,
        derived_family=prepared.derived_family,
        output_dir=RunDirectory(config.output_dir).root,
        writes=_writes(prepared),
    )


def _writes(prepared: Prepared) -> dict[str, str]:
    """Names in the output directory; those of several students are each in its folder."""
    found = FILES | {name: what for step in prepared.steps for name, what in step.will_write(prepared.config).items()}
    if not prepared.in_folders:
        return found | ({f"{SEARCH}/": OF_A_SEARCH} if prepared.searches else {})
    folders = ", ".join(f"{student_folder(one.target_sparsity)}/" for one in prepared.students)
    own = {name: what for name, what in found.items() if name not in (RESOLVED_CONFIG, RECORD_FILE)}
    return OF_THE_RUN | {folders: "of each student:"} | {f"  {name}": what for name, what in own.items()}


def _memory(prepared: Prepared, nested: NestedModel, batch: Mapping[str, Any]) -> Memory:
    """Of the stage with the largest network, to which `nested` is trimmed."""
    from minidisc_plugin.foundation.processes import process_count
    from minidisc_plugin.training.device_memory import training_memory
    from minidisc_plugin.training.sharding import wants_sharding

    nested.trim(max(scale for stage in planned_stages(prepared) for scale in stage.passes))
    devices = process_count() if wants_sharding(prepared.config.training) else 1
    return training_memory(prepared.teacher, nested.model, batch, prepared.args, devices)


def _calibration(prepared: Prepared, nested: NestedModel) -> Calibration:
    """Of every scale that a stage trains or follows, on the training batch that is nearest to the average."""
    from minidisc_plugin.run.data.collating import collator_of
    from minidisc_plugin.run.plan.calibration import calibrate

    examples = prepared.splits.pool.examples
    batch = collator_of(prepared)([examples[row] for row in epoch_of(prepared).usual])
    stages = planned_stages(prepared)
    nested.model.to(prepared.args.device)
    return calibrate(
        nested,
        prepared.task.inputs(batch, prepared.teacher),
        {1.0, *(scale for stage in stages for scale in stage.passes)},
        {scale for stage in stages for scale in stage.followed},
        prepared.task.options,
        bool(prepared.config.engine.dropout),
        _half_of(prepared.args),
    )


def _serving(prepared: Prepared, nested: NestedModel, batch: Mapping[str, Any]) -> dict[float, Serving]:
    """Of teacher and student, as models of their own."""
    from minidisc_plugin.run.measuring.saturation import serve

    device = prepared.args.device
    if device.type != "cuda":
        return {}
    targets = [scheduler.target_scale for scheduler in prepared.students]
    models = {1.0: prepared.teacher, **{target: nested.extract(target) for target in targets}}
    return {scale: serve(model.to(device).eval(), batch) for scale, model in models.items()}


def _half_of(args: TrainingArguments) -> torch.dtype | None:
    """The type of the autocast of a training."""
    import torch

    if args.bf16:
        return torch.bfloat16
    return torch.float16 if args.fp16 else None


def _macs(nested: NestedModel, scale: float, batch: object) -> int:
    from minidisc_plugin.run.measuring.measure import macs

    nested.set_scale(scale)
    single = {name: value[:1] for name, value in batch.items()}  # type: ignore[attr-defined]
    return macs(nested.model, single)
