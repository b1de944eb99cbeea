"""What training stages cost: steps, multiply-accumulates, and seconds as far as passes were timed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minidisc_plugin.run.objective_choice import objective_of
from minidisc_plugin.run.plan.stages import planned_stages

if TYPE_CHECKING:
    from minidisc_plugin.contracts.run import Prepared
    from minidisc_plugin.contracts.scheduler import PlannedStage
    from minidisc_plugin.run.plan.calibration import Calibration
    from minidisc_plugin.training.epoch import Epoch

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


def stage_costs(
    prepared: Prepared,
    macs: Mapping[float, int],
    parameters: Mapping[float, int],
    calibration: Calibration | None,
    cached: bool,
) -> list[StageCost]:
    """Every stage of a scheduler, in order, and before each what its objective learns, where it does.

    Args:
        prepared: The checked run.
        macs: Of one example, by scale.
        parameters: By scale.
        calibration: Of every scale that a stage trains or follows; None predicts no time.
        cached: Whether stages read their teacher's outputs from a cache.
    """
    costs, epochs = [], objective_of(prepared).epochs_before
    for stage in planned_stages(prepared):
        whole = _stage_cost(prepared, stage, macs, parameters, calibration, cached)
        costs += [*_lesson_cost(prepared, stage, whole, epochs, macs, calibration), whole]
    return costs


def epoch_of(prepared: Prepared, by_inc: bool = False) -> Epoch:
    """The first epoch of a stage; INCTrainer makes no batches by tokens, and fills its last step."""
    from minidisc_plugin.training.epoch import first_epoch

    engine = prepared.config.engine
    padded_to = prepared.config.max_length if engine.padding == "max_length" else None
    tokens = None if by_inc else engine.tokens_per_batch
    splits = prepared.splits
    return first_epoch(
        splits.pool.examples, prepared.args, tokens, padded_to, whole_steps=by_inc, drawn=splits.pool.drawn
    )


def is_left_to_inc(prepared: Prepared, stage: PlannedStage) -> bool:
    """Whether INCTrainer trains a stage: that of a standalone student; nested networks are not left to it."""
    alone = [[scheduler.target_scale] for scheduler in prepared.students]
    return prepared.config.trainer == "inc" and list(stage.passes) in alone


def _stage_cost(
    prepared: Prepared,
    stage: PlannedStage,
    macs: Mapping[float, int],
    parameters: Mapping[float, int],
    calibration: Calibration | None,
    cached: bool,
) -> StageCost:
    by_inc = is_left_to_inc(prepared, stage)
    epoch = epoch_of(prepared, by_inc)
    accumulated = min(prepared.args.gradient_accumulation_steps, len(epoch.batches))
    steps = _steps(prepared, len(epoch.batches))
    # A cache runs the teacher once for each example that may be drawn, and not in every epoch.
    epochs = max(1.0, steps * accumulated / len(epoch.batches))
    in_all = len(prepared.splits.pool.examples) / len(prepared.splits.train)
    share = in_all / epochs if cached and not by_inc else 1.0
    trained = sum(PASSES_OF_A_TRAINED_EXAMPLE * macs[scale] * passes for scale, passes in stage.passes.items())
    followed = sum(macs[scale] for scale in stage.followed)
    cost = (followed * share + trained) / (PASSES_OF_A_TRAINED_EXAMPLE * macs[1.0])
    if calibration is None:
        return StageCost(stage.name, steps, cost)
    passes = sum(calibration.frozen[scale] for scale in stage.followed) * share
    passes += sum(calibration.trained[scale] * number for scale, number in stage.passes.items())
    batches = accumulated * epoch.mean_size / (calibration.examples * calibration.tokens)
    a_step = batches * passes + calibration.update * parameters[max(stage.passes)]
    tuning = batches * calibration.trained[1.0] + calibration.update * parameters[1.0]
    return StageCost(stage.name, steps, cost, steps * a_step, a_step / tuning)


def _lesson_cost(
    prepared: Prepared,
    stage: PlannedStage,
    whole: StageCost,
    epochs: float,
    macs: Mapping[float, int],
    calibration: Calibration | None,
) -> list[StageCost]:
    """What an objective learns before a stage: student and teacher run forward, and the objective's own part is small.

    Args:
        prepared: The checked run.
        stage: What comes after.
        whole: Its cost.
        epochs: How long the objective learns.
        macs: Of one example, by scale.
        calibration: See stage_costs.
    """
    if epochs <= 0:
        return []
    epoch = epoch_of(prepared)
    accumulated = min(prepared.args.gradient_accumulation_steps, len(epoch.batches))
    steps = math.ceil(len(epoch.batches) / accumulated * epochs)
    student = max(stage.passes)
    share = steps / whole.steps  # of the steps that relative numbers are about
    cost = share * (macs[stage.teacher_scale] + macs[student]) / (PASSES_OF_A_TRAINED_EXAMPLE * macs[1.0])
    name = f"{stage.name}-objective"
    if calibration is None or whole.seconds is None or whole.relative_time is None:
        return [StageCost(name, steps, cost)]
    forward = calibration.frozen.get(student, calibration.trained[student] / PASSES_OF_A_TRAINED_EXAMPLE)
    batches = accumulated * epoch.mean_size / (calibration.examples * calibration.tokens)
    a_step = batches * (calibration.frozen[stage.teacher_scale] + forward)
    tuning = whole.seconds / whole.steps / whole.relative_time
    return [StageCost(name, steps, cost, steps * a_step, share * a_step / tuning)]


def _steps(prepared: Prepared, batches: int) -> int:
    """Optimizer steps of a stage."""
    args = prepared.args
    if args.max_steps > 0:
        return int(args.max_steps)
    steps: int = math.ceil(math.ceil(batches / args.gradient_accumulation_steps) * args.num_train_epochs)
    return steps
