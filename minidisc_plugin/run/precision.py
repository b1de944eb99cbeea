"""`engine.half_precision: auto` on a CUDA device: a few steps each way, and the faster is taken."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.run import Prepared

if TYPE_CHECKING:
    from torch import Tensor

    from minidisc_plugin.contracts.workbench import StageJournal
    from minidisc_plugin.nested.model import NestedModel

_STAGE = "half_precision"
_STEPS, _WARM_UPS = 5, 2
# A scale that stands for what a step trains beside the student's.
_ASSISTANT = 0.4


def measured(prepared: Prepared) -> Mapping[str, float]:
    """Seconds of a step's passes by precision, "fp32" and "bf16", over a usual batch; empty where memory ends.

    Args:
        prepared: Of a run on one CUDA device.
    """
    import torch

    from minidisc_plugin.nested.model import NestedModel
    from minidisc_plugin.training.dropout import without_dropout

    teacher, args = prepared.teacher, prepared.args
    nested = NestedModel(copy.deepcopy(teacher).to(args.device), family=prepared.family)
    scales = (prepared.config.target_scale, max(_ASSISTANT, prepared.config.target_scale))
    batch = _usual(prepared)
    nested.model.train()
    found = {}
    try:
        for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            with without_dropout(nested.model):  # which both ways do alike, and recordings do without
                found[name] = round(_seconds_of_a_step(prepared, nested, scales, batch, kind), 5)
    except torch.cuda.OutOfMemoryError:  # a run saves what a measurement does not: bf16 then, which needs less
        found = {}
    del nested
    torch.cuda.empty_cache()
    return found


def with_bf16(prepared: Prepared, args: Any) -> Prepared:
    """The run in bf16, with training arguments that say so."""
    config = prepared.config
    return replace(
        prepared, args=args, config=config.model_copy(update={"training": {**config.training, "bf16": True}})
    )


def note_precision(journal: StageJournal, found: Mapping[str, float]) -> None:
    """Keep what was found with the run, unless an earlier start of it did."""
    if found and not journal.finished(_STAGE):
        with journal.stage(_STAGE) as result:
            result.update(found)


def precision_of(journal: StageJournal) -> dict[str, float]:
    """What this run or an earlier start of it found; empty where nothing was measured."""
    return dict(journal.result(_STAGE)) if journal.finished(_STAGE) else {}


def _seconds_of_a_step(
    prepared: Prepared, nested: NestedModel, scales: tuple[float, ...], batch: Mapping[str, Tensor], kind: Any
) -> float:
    import torch

    from minidisc_plugin.training.compiling import pads_for_recordings
    from minidisc_plugin.training.recorded_passes import RecordedPasses

    records = pads_for_recordings(prepared.config.engine.compile, prepared.args)
    passes = RecordedPasses() if records else None
    options = {**prepared.task.options, "output_hidden_states": True}
    taken = []
    for _ in range(_WARM_UPS + _STEPS):
        torch.cuda.synchronize()
        start = perf_counter()
        for scale in scales:
            nested.set_scale(scale)
            with torch.autocast("cuda", torch.bfloat16, enabled=kind is torch.bfloat16):
                found = passes.run(nested.model, batch, options, scale) if passes else nested(**batch, **options)
            torch.stack([value.float().pow(2).mean() for value in _tensors(found.values())]).sum().backward()  # type: ignore[no-untyped-call]
        nested.model.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        taken.append(perf_counter() - start)
    return median(taken[_WARM_UPS:])


def _usual(prepared: Prepared) -> dict[str, Tensor]:
    """Inputs of as many examples as a step has, around the median length."""
    from minidisc_plugin.run.data.collating import collator_of
    from minidisc_plugin.training.batches import sorted_by_length

    examples, size = sorted_by_length(prepared.splits.train), prepared.args.train_batch_size
    start = max(0, len(examples) // 2 - size // 2)
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
