"""The largest student within a budget; one in parameters or in bytes is a sparsity once the teacher is known."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.amounts import bytes_in, parameters_in
from minidisc_plugin.contracts.family import Family
from minidisc_plugin.contracts.pruning import PruningConfig
from minidisc_plugin.contracts.workbench import Allocation
from minidisc_plugin.foundation.disks import in_bytes
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.types import student_type
from minidisc_plugin.foundation.printable import shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.nested.model import NestedModel

logger = logging.getLogger(__name__)

# A student's scale is looked for in steps of one in so many.
_STEPS = 10_000
# Of safetensors, in bytes: the header's length, its padding, and `format: pt` in it.
_BEFORE_HEADER = 64


def sparsity_within(
    pruning: PruningConfig,
    teacher: PreTrainedModel,
    family: Family,
    saved: str,
    allocation: Allocation,
    section: str = "",
) -> float:
    """The sparsity of the largest student within a budget.

    Sizes do not depend on which heads and neurons a ranking keeps, so nothing has to be ranked. Where they do, as in
    T5, of which some attentions share heads, the worst case counts.

    Args:
        pruning: The section as read, with a budget.
        teacher: With its weights; left as it is.
        family: Where its heads and neurons live.
        saved: The type of most weights in its files.
        allocation: See Scheduler.
        section: What messages put before a key.

    Raises:
        ConfigError: no student is within the budget, or the teacher itself is.
    """
    nested = without_weights(teacher, family, allocation)
    size: Callable[[float], int]
    if pruning.max_parameters is not None:
        where = f"{section}max_parameters: {shown(pruning.max_parameters)}"
        limit = Limit(where, parameters_in(pruning.max_parameters), _in_parameters)
        size = nested.parameters_at_most
    else:
        assert pruning.max_bytes is not None
        where = f"{section}max_bytes: {shown(pruning.max_bytes)}"
        limit = Limit(where, bytes_in(pruning.max_bytes), _in_bytes)
        size = largest_file(nested, student_type(saved))
    scale = largest_scale(size, limit)
    logger.info("%s: a student of scale %g, with %s at most", where, scale, limit.said(size(scale)))
    return round(1 - scale, 6)


@dataclass(frozen=True)
class Limit:
    """A budget, and how messages speak of it.

    Attributes:
        where: Its key and value.
        amount: In its unit.
        said: An amount in words.
        takes: What a student does to such an amount.
        remedy: What else than a larger budget helps where no student is within it.
    """

    where: str
    amount: float
    said: Callable[[float], str]
    takes: str = "has"
    remedy: str = "a teacher with smaller embeddings"

    def check(self, smallest: float, teacher: float) -> None:
        """Refuse a budget that no student is within, or the teacher itself.

        Args:
            smallest: What the smallest student costs.
            teacher: What the teacher does.

        Raises:
            ConfigError: says which of both, and what to give.
        """
        if teacher <= self.amount:
            raise ConfigError(
                f"{self.where}: the teacher is within it, with {self.said(teacher)}; give less, or leave it as it is"
            )
        if smallest > self.amount:
            raise ConfigError(
                f"{self.where}: the smallest student of this teacher {self.takes} {self.said(smallest)}, for only "
                f"heads and neurons are pruned; give more, or {self.remedy}"
            )


def largest_scale(cost: Callable[[float], float], limit: Limit) -> float:
    """The largest scale within a budget.

    Args:
        cost: By scale, in the budget's unit; a larger scale costs no less.
        limit: The budget.

    Raises:
        ConfigError: there is none, or the teacher is.
    """
    limit.check(cost(1 / _STEPS), cost(1.0))
    least, most = 1, _STEPS
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if cost(middle / _STEPS) <= limit.amount else (least, middle)
    return least / _STEPS


def largest_file(nested: NestedModel, kind: str) -> Callable[[float], int]:
    """By scale, the bytes of the weight file of its slice, at most: its header has the names and shapes of all."""
    import torch

    # Of tensors that are tied one is saved.
    saved = {id(tensor): (name, tensor) for name, tensor in nested.model.state_dict(keep_vars=True).items()}
    width: int = getattr(torch, kind).itemsize
    sizes: list[int] = [
        tensor.numel() * (width if tensor.is_floating_point() else tensor.itemsize) for _, tensor in saved.values()
    ]
    in_all = sum(sizes)
    header = {
        name: {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [in_all, in_all]}
        for name, tensor in saved.values()
    }
    whole = in_all + len(json.dumps(header)) + _BEFORE_HEADER

    def size(scale: float) -> int:
        return whole - (nested.parameters_at_most(1.0) - nested.parameters_at_most(scale)) * width

    return size


def _in_parameters(count: float) -> str:
    return f"{count:,.0f} parameters"


def _in_bytes(count: float) -> str:
    return in_bytes(int(count))


def without_weights(teacher: PreTrainedModel, family: Family, allocation: Allocation) -> NestedModel:
    """The nested network of a teacher, for its sizes alone."""
    from torch import nn

    from minidisc_plugin.nested.model import NestedModel

    memo: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach().to("meta"), requires_grad=False) for weight in teacher.parameters()
    }
    return NestedModel(copy.deepcopy(teacher, memo), family, allocation)
