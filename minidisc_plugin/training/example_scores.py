"""How well a slice does on each example: the loss on its labels, and how far the student's slice is from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from minidisc_plugin.contracts.task import Task

_LOGITS = ("logits", "start_logits", "end_logits")
_STATES = ("hidden_states", "encoder_hidden_states", "decoder_hidden_states")


def losses(task: Task, output: Any, batch: Mapping[str, Any], *, regression: bool) -> Tensor:
    """(examples,) mean loss of each example's terms on their labels, in nats; squared errors of a regression.

    An example without a labelled term has none: NaN.

    Args:
        task: What the model does.
        output: Of the model for the batch.
        batch: With labels.
        regression: Whether logits are real numbers and not classes.
    """
    found = []
    for mine, _, view in _examples(task, output, output, batch):
        logits, labels = mine.logits.float(), view["labels"]
        if regression:
            found.append((logits - labels.to(logits.dtype).reshape(logits.shape)).pow(2).mean())
        else:
            found.append(functional.cross_entropy(_real(logits, view), labels))
    return torch.stack(found)


def gaps(task: Task, output: Any, student: Any, batch: Mapping[str, Any], *, regression: bool) -> Tensor:
    """(examples,) mean divergence of the student's probabilities from those of a slice, KL(slice || student), in nats.

    Of a regression, squared differences. Arguments as of `losses`; `student` is the output of the student's slice.
    """
    found = []
    for mine, theirs, view in _examples(task, output, student, batch):
        if regression:
            found.append((mine.logits.float() - theirs.logits.float()).pow(2).mean())
            continue
        log_mine, log_theirs = (functional.log_softmax(_real(one.logits.float(), view), -1) for one in (mine, theirs))
        found.append(functional.kl_div(log_theirs, log_mine, reduction="none", log_target=True).sum(-1).mean())
    return torch.stack(found)


def _real(logits: Tensor, view: Mapping[str, Any]) -> Tensor:
    """Logits of classes that exist; others get a probability of 0."""
    mask = view.get("logits_mask")
    return logits if mask is None else logits.masked_fill(~mask, torch.finfo(logits.dtype).min / 2)


def _examples(task: Task, output: Any, other: Any, batch: Mapping[str, Any]) -> Any:
    """Both outputs and the batch of each example, as an objective compares them."""
    tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor) and value.dim()}
    size = len(next(iter(tensors.values())))
    for place in range(size):
        row = slice(place, place + 1)
        one = {name: value[row] for name, value in tensors.items()}
        yield task.compared(_row(output, row), _row(other, row), one)


def _row(output: Any, row: slice) -> SimpleNamespace:
    logits = {name: getattr(output, name)[row] for name in _LOGITS if getattr(output, name, None) is not None}
    return SimpleNamespace(**dict.fromkeys(_STATES), **logits)
