"""Room on disk that a run takes at most, estimated before it begins and compared with what is free."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.disks import existing, free_bytes, in_bytes, shown
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.run.objective_choice import objective_of
from minidisc_plugin.run.plan.stage_costs import is_left_to_inc
from minidisc_plugin.run.plan.stages import planned_stages
from minidisc_plugin.training.device_memory import checkpoint_bytes

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from minidisc_plugin.contracts.run import Prepared
    from minidisc_plugin.contracts.scheduler import Scheduler
    from minidisc_plugin.schedulers.workbench import Workbench

logger = logging.getLogger(__name__)

# Exported models are in single precision; 8-bit ones keep their scales beside.
_EXPORTED = 4
_QUANTIZED = 1.2


@dataclass(frozen=True)
class Space:
    """Bytes that a run takes at most, when an assistant that is not chosen yet is the largest it can be.

    Attributes:
        checkpoints: Of the largest stage while it trains: weights and optimizer states.
        stages: Weights of finished stages, kept until the run ends.
        models: Student, assistants, and what steps export; these stay.
        scratch: Exports of the teacher, which are measured and removed.
        cache: Outputs of teachers.
        cache_folder: Where these are, if not in the output directory.
    """

    checkpoints: int
    stages: int
    models: int
    scratch: int
    cache: int
    cache_folder: Path | None

    @property
    def in_output_dir(self) -> int:
        """While the run lasts."""
        here = self.checkpoints + self.stages + self.models + self.scratch
        return here + (0 if self.cache_folder else self.cache)


def estimate(prepared: Prepared, bench: Workbench) -> Space:
    """What a run takes; costs no more than a pass of one example."""
    config, args = prepared.config, prepared.args
    stages = planned_stages(prepared)
    size = int(prepared.teacher.dtype.itemsize)
    largest = [_parameters(prepared, max(stage.passes)) for stage in stages]
    kept = _kept_checkpoints(args, len(prepared.splits.train))
    kept_students = prepared.students[:1] if prepared.searches else prepared.students
    students = [_parameters(prepared, scheduler.target_scale) for scheduler in kept_students]
    chosen = sum(_assistants(prepared, scheduler) for scheduler in kept_students)
    exports = [_exports(prepared, student) for student in students]
    learned, before = _learned_beside(prepared)
    cached = {scale for stage in stages if not is_left_to_inc(prepared, stage) for scale in stage.followed}
    return Space(
        checkpoints=kept * checkpoint_bytes(args, max(largest, default=0) * size + learned),
        stages=sum(largest) * size + (learned * len(stages) if before else 0),
        models=(sum(students) + chosen) * size + sum(exported for exported, _ in exports),
        scratch=sum(scratch for _, scratch in exports),
        cache=_cache_bytes(bench, len(cached)),
        cache_folder=Path(config.engine.teacher_cache_dir) if config.engine.teacher_cache_dir else None,
    )


def warn_where_too_little(space: Space, output_dir: Path) -> None:
    """Say in one line for each disk that it may not have the room; a run goes on all the same."""
    needed = {output_dir: space.in_output_dir}
    held = {output_dir: _bytes_in(output_dir)}  # a run that is resumed has some of it already
    if space.cache_folder is not None and space.cache:
        if _same_disk(output_dir, space.cache_folder):
            needed[output_dir] += space.cache
            held[output_dir] += _bytes_in(space.cache_folder)
        else:
            needed[space.cache_folder] = space.cache
            held[space.cache_folder] = _bytes_in(space.cache_folder)
    for folder, wanted in needed.items():
        free = free_bytes(folder)
        if free is not None and wanted > free + held[folder]:
            key = "output_dir" if folder is output_dir else "engine.teacher_cache_dir"
            logger.warning(
                "%s: the run may need %s in %s, where %s are free; make room, lower training.save_total_limit or "
                "engine.teacher_cache_gib, or give another folder",
                key,
                in_bytes(wanted),
                shown(folder),
                in_bytes(free),
            )


def _parameters(prepared: Prepared, scale: float) -> int:
    """Of a slice, about: what is pruned is nearly all that the layers have."""
    from minidisc_plugin.nested.family import encoder_parameters

    in_all = sum(int(parameter.numel()) for parameter in prepared.teacher.parameters())
    return round(in_all - (1 - scale) * encoder_parameters(prepared.teacher, prepared.family))


def _assistants(prepared: Prepared, scheduler: Scheduler) -> int:
    """Parameters of what may be chosen for a student."""
    scales = scheduler.candidate_scales()
    wanted = getattr(scheduler, "assistants", 1)
    count = min(len(scales), wanted if isinstance(wanted, int) else 1)
    return count * _parameters(prepared, max(scales, default=0.0))


def _learned_beside(prepared: Prepared) -> tuple[int, bool]:
    """Bytes of what the objective learns beside a student, and whether a stage before keeps its weights."""
    from minidisc_plugin.training.own_network import equipped

    objective, teacher = objective_of(prepared), prepared.teacher
    network = equipped(objective, teacher, teacher, prepared.splits.pool.examples, prepared.config.seed).network
    if network is None:
        return 0, False
    tensors = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors), objective.epochs_before > 0


def _kept_checkpoints(args: TrainingArguments, examples: int) -> int:
    """How many lie beside each other at most; a new one is written before the oldest goes."""
    strategy = getattr(args.save_strategy, "value", args.save_strategy)
    if strategy == "no":
        return 0
    an_epoch = math.ceil(examples / (args.train_batch_size * args.world_size * args.gradient_accumulation_steps))
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * an_epoch)
    interval = an_epoch
    if strategy == "steps":
        interval = max(1, math.ceil(args.save_steps * steps) if args.save_steps < 1 else int(args.save_steps))
    saves: int = max(1, math.ceil(steps / interval))
    if not args.save_total_limit or args.save_total_limit < 0:
        return saves
    return int(min(saves, args.save_total_limit + 1 + bool(args.load_best_model_at_end)))


def _exports(prepared: Prepared, student: int) -> tuple[int, int]:
    """Bytes of exported students, and of the teacher's exports that are measured beside them."""
    config = prepared.config
    teacher = _parameters(prepared, 1.0)
    formats = set(config.export.formats) if "export" in config.steps else set()
    schemes = config.quantization.schemes if "quantization" in config.steps else ()
    sources = {way.of for scheme in schemes if (way := WAYS[scheme]).of is not None}
    exported = len(formats) * student * _EXPORTED + len(schemes) * round(student * _QUANTIZED)
    scratch = len(formats | sources) * teacher * _EXPORTED + len(sources - formats) * student * _EXPORTED
    return exported, scratch


def _cache_bytes(bench: Workbench, teachers: int) -> int:
    """Of the outputs of so many teachers, as far as they are kept and the limit lets them be."""
    each, limit = bench.teacher_cache_bytes(), int(bench.engine.teacher_cache_gib * 2**30)
    return min(each * teachers, limit) if each <= limit else 0


def _same_disk(first: Path, second: Path) -> bool:
    try:
        return existing(first).stat().st_dev == existing(second).stat().st_dev
    except OSError:
        return False


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            total += os.lstat(path).st_size if os.path.lexists(path) else 0
    return total
