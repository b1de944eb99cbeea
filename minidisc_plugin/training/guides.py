"""Two frozen models followed as one: a teacher, whose probabilities are averaged with those of an assistant."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from minidisc_plugin.contracts.task import Outputs


def mean_of_guides(teacher: Any, assistant: Any, *, regression: bool, mask: Tensor | None = None) -> Any:
    """A teacher's outputs, as an objective is given them, with the logits of both models in one.

    The softmax of these logits is the mean of the two softmaxes; those of a regression are the mean themselves. What is
    added to all logits of a term changes no softmax: the first class that exists keeps the mean of both models' logits,
    so that squared errors see logits as they were, and a label of a multi-label model stays against 0.

    Args:
        teacher: With `logits` (terms, classes), and whatever else it has.
        assistant: With `logits` of the same shape.
        regression: Whether logits are real numbers and not classes.
        mask: (terms, classes), false where a class does not exist; its logit is of no meaning.
    """
    logits = _mean(torch.stack([teacher.logits, assistant.logits]), regression, mask)
    if isinstance(teacher, Outputs):
        return replace(teacher, logits=logits)
    mixed = copy.copy(teacher)
    mixed.logits = logits
    return mixed


def _mean(logits: Tensor, regression: bool, mask: Tensor | None) -> Tensor:
    """Of (2, terms, classes) logits; those of classes that do not exist are 0."""
    if regression:
        return logits.mean(0)
    known = logits if mask is None else logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
    mixed = torch.logsumexp(functional.log_softmax(known, dim=-1), 0)
    shape = (*mixed.shape[:-1], 1)
    first = mixed.new_zeros(shape, dtype=torch.long) if mask is None else mask.long().argmax(-1, keepdim=True)
    mixed = mixed + logits.mean(0).gather(-1, first) - mixed.gather(-1, first)
    return mixed if mask is None else mixed.masked_fill(~mask, 0.0)
