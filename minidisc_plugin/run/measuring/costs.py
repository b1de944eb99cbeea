"""What students of a ranked network cost before they are trained: milliseconds of a pass, multiply-accumulates."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.model_files.types import in_type
from minidisc_plugin.run.measuring.batch import resized, typical_batch
from minidisc_plugin.run.measuring.measure import macs, pass_ms

if TYPE_CHECKING:
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

    def cost(scale: float) -> float:
        model = in_type(nested.extract(scale), prepared.saved_type).to(device)
        found = pass_ms(model, batch, _SECONDS)
        logger.info(
            "pruning: a slice of scale %g takes %.3g ms for %d x %s",
            scale,
            found,
            examples,
            prepared.task.shape_of(batch),
        )
        return found

    return cost


def multiply_accumulates(prepared: Prepared, nested: NestedNetwork) -> Callable[[float], float]:
    """By scale, multiply-accumulates of one example of the reported split's median length.

    Args:
        prepared: The checked run.
        nested: Its ranked network.
    """
    single = resized(typical_batch(prepared), 1)
    known: dict[tuple[tuple[int, ...], ...], int] = {}

    def cost(scale: float) -> float:
        units = tuple(map(tuple, nested.sizes(scale)))
        if units not in known:
            known[units] = macs(nested.extract(scale), single)
            told = (scale, known[units], prepared.task.shape_of(single))
            logger.info("pruning: a slice of scale %g takes %d multiply-accumulates for %s", *told)
        return known[units]

    return cost
