"""`engine.half_precision: auto` in one process: a few steps each way, and the faster is taken."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.run import Prepared

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from minidisc_plugin.contracts.workbench import StageJournal
    from minidisc_plugin.nested.model import NestedModel

logger = logging.getLogger(__name__)

_STAGE = "half_precision"
# Shares of the examples, by length, around which batches are made: of steps that warm up, and of those that are timed.
# A GPU records one length. On a processor each length counts, as in bf16 every new shape has its kernel made.
_ON_A_GPU = ((0.5,) * 2, (0.5,) * 5)
_ON_A_CPU = ((0.5,), (0.2, 0.4, 0.6, 0.8))
# A scale that stands for what a step trains beside the student's.
_ASSISTANT = 0.4
# On a processor that takes as long as ten steps; passes gain more than steps do, and other processes disturb both.
_STEPS_OF_A_LONG_RUN = 500
_GAIN_ON_A_CPU = 1.25


def chosen(prepared: Prepared) -> tuple[bool, Mapping[str, float]]:
    """Whether to train in bf16, and seconds of a step's passes by precision, "fp32" and "bf16"; empty if not measured.

    On a processor a run of fewer than 500 steps stays in fp32, and bf16 has to gain a quarter; the host's trainer, and
    weights that are in half precision anyway, are left alone.

    Args:
        prepared: Of a run in one process, whose config leaves it to a measurement.
    """
    import torch

    if prepared.args.device.type == "cpu":
        if prepared.config.trainer == "inc" or prepared.config.engine.weights != "float32" or not _is_long(prepared):
            return False, {}
        try:
            found = _measured(prepared, *_ON_A_CPU)
        except RuntimeError as error:  # some operators have no bf16 on processors
            logger.info("engine.half_precision: fp32, as bf16 fails: %s", str(error).partition("\n")[0])
            return False, {}
        return found["bf16"] * _GAIN_ON_A_CPU < found["fp32"], found
    try:
        found = _measured(prepared, *_ON_A_GPU)
    except torch.cuda.OutOfMemoryError:  # a run saves what a measurement does not: bf16 then, which needs less
        return True, {}
    finally:
        torch.cuda.empty_cache()
    return found["bf16"] < found["fp32"], found


def note_precision(journal: StageJournal, found: Mapping[str, float]) -> None:
    """Keep what was found with the run, unless an earlier start of it did."""
    if found and not journal.finished(_STAGE):
        with journal.stage(_STAGE) as result:
            result.update(found)


def precision_of(journal: StageJournal) -> dict[str, float]:
    """What this run or an earlier start of it found; empty where nothing was measured."""
    return dict(journal.result(_STAGE)) if journal.finished(_STAGE) else {}


def _is_long(prepared: Prepared) -> bool:
    """Whether all stages together have steps enough to pay for a measurement."""
    from minidisc_plugin.plugins.schedulers import stages_of

    args = prepared.args
    in_an_epoch = math.ceil(len(prepared.splits.train) / (args.train_batch_size * args.gradient_accumulation_steps))
    in_a_stage = args.max_steps if args.max_steps > 0 else in_an_epoch * args.num_train_epochs
    return bool(len(stages_of(prepared.scheduler)) * in_a_stage >= _STEPS_OF_A_LONG_RUN)


def _measured(prepared: Prepared, warm_ups: Sequence[float], steps: Sequence[float]) -> dict[str, float]:
    """Seconds of a step's passes by precision."""
    import torch

    from minidisc_plugin.nested.model import NestedModel
    from minidisc_plugin.training.dropout import without_dropout

    nested = NestedModel(copy.deepcopy(prepared.teacher).to(prepared.args.device), family=prepared.family)
    scales = (prepared.scheduler.target_scale, max(_ASSISTANT, prepared.scheduler.target_scale))
    made = {share: _batch(prepared, share) for share in {*warm_ups, *steps}}
    batches = [made[share] for share in (*warm_ups, *steps)]
    nested.model.train()
    found = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with without_dropout(nested.model):  # which both ways do alike, and recordings do without
            taken = _seconds_of_steps(prepared, nested, scales, batches, kind)[len(warm_ups) :]
        found[name] = round(median(taken), 5)
    return found


def _seconds_of_steps(
    prepared: Prepared,
    nested: NestedModel,
    scales: tuple[float, ...],
    batches: Sequence[Mapping[str, Tensor]],
    kind: torch.dtype,
) -> list[float]:
    import torch

    from minidisc_plugin.run.measuring.measure import barrier
    from minidisc_plugin.training.compiling import pads_for_recordings
    from minidisc_plugin.training.recorded_passes import RecordedPasses

    device = prepared.args.device
    finish = barrier(device)
    records = pads_for_recordings(prepared.config.engine.compile, prepared.args)
    passes = RecordedPasses() if records else None
    options = {**prepared.task.options, "output_hidden_states": True}
    taken = []
    for batch in batches:
        finish()
        start = perf_counter()
        for scale in scales:
            nested.set_scale(scale)
            with torch.autocast(device.type, torch.bfloat16, enabled=kind is torch.bfloat16):
                found = passes.run(nested.model, batch, options, scale) if passes else nested(**batch, **options)
            torch.stack([value.float().pow(2).mean() for value in _tensors(found.values())]).sum().backward()  # type: ignore[no-untyped-call]
        nested.model.zero_grad(set_to_none=True)
        finish()
        taken.append(perf_counter() - start)
    return taken


def _batch(prepared: Prepared, share: float) -> dict[str, Tensor]:
    """Inputs of as many examples as a step has, around those that so large a share of all is shorter than."""
    from minidisc_plugin.run.data.collating import collator_of
    from minidisc_plugin.training.batches import sorted_by_length

    examples, size = sorted_by_length(prepared.splits.train), prepared.args.train_batch_size
    start = max(0, int(share * len(examples)) - size // 2)
    places = [min(start + place, len(examples) - 1) for place in range(size)]
    batch = collator_of(prepared)([examples[place] for place in places])
    inputs = prepared.task.inputs(batch, prepared.teacher)
    return {name: value.to(prepared.args.device) for name, value in inputs.items()}


def _tensors(values: Any) -> Any:
    import torch

    for value in values:
        if isinstance(value, torch.Tensor) and value.requires_grad:
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)
