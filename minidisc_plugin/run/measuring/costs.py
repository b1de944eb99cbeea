"""What students of a ranked network cost before they are trained: milliseconds of a pass, multiply-accumulates."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.model_files.types import in_type
from minidisc_plugin.run.measuring.batch import resized, typical_batch
from minidisc_plugin.run.measuring.measure import macs, pass_ms

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.run import Prepared
    from minidisc_plugin.contracts.workbench import NestedNetwork

logger = logging.getLogger(__name__)

# Of the passes of one slice; a median over so long is the same within a few per cent where little else runs.
_SECONDS = 1.5


def milliseconds(prepared: Prepared, nested: NestedNetwork, examples: int) -> Callable[[float], float]:
    """By scale, what a pass over a batch takes: the median on the run's device, of a slice as it would be saved.

    Args:
        prepared: The checked run.
        nested: Its ranked network; moved to the device.
        examples: Of the batch, around the reported split's median length.
    """
    device = prepared.args.device
    batch = resized(typical_batch(prepared), examples)
    nested.model.to(device)

    def cost(model: PreTrainedModel) -> float:
        return pass_ms(in_type(model, prepared.saved_type).to(device), batch, _SECONDS)

    return _of_slices(nested, batch, cost, "%.3g ms")


def multiply_accumulates(prepared: Prepared, nested: NestedNetwork) -> Callable[[float], float]:
    """By scale, multiply-accumulates of one example of the reported split's median length.

    Args:
        prepared: The checked run.
        nested: Its ranked network.
    """
    single = resized(typical_batch(prepared), 1)
    return _of_slices(nested, single, lambda model: macs(model, single), "%.0f multiply-accumulates")


def _of_slices(
    nested: NestedNetwork,
    batch: Mapping[str, torch.Tensor],
    cost: Callable[[PreTrainedModel], float],
    said: str,
) -> Callable[[float], float]:
    """By scale, the cost of the slice as a model of its own; scales that keep the same units share it."""
    known: dict[tuple[tuple[int, ...], ...], float] = {}
    shape = tuple(next(iter(batch.values())).shape[:2])

    def of_scale(scale: float) -> float:
        units = tuple(map(tuple, nested.sizes(scale)))
        if units not in known:
            known[units] = cost(nested.extract(scale))
            logger.info(f"pruning: a slice of scale %g: {said} for %d x %d tokens", scale, known[units], *shape)
        return known[units]

    return of_scale
