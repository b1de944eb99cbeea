"""Two frozen models followed as one: a teacher, whose probabilities are averaged with those of an assistant."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def mean_of_guides(teacher: Any, assistant: Any, *, regression: bool, mask: Tensor | None = None) -> Any:
    """A teacher's outputs, as an objective is given them, with the logits of both models in one.

    The softmax of these logits is the mean of the two softmaxes; those of a regression are the mean themselves.

    Args:
        teacher: With `logits` (terms, classes), and whatever else it has.
        assistant: With `logits` of the same shape.
        regression: Whether logits are real numbers and not classes.
        mask: (terms, classes), false where a class does not exist; its logit is of no meaning.
    """
    mixed = copy.copy(teacher)
    mixed.logits = _mean(torch.stack([teacher.logits, assistant.logits]), regression, mask)
    return mixed


def _mean(logits: Tensor, regression: bool, mask: Tensor | None) -> Tensor:
    if regression:
        return logits.mean(0)
    if mask is not None:
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
    return torch.logsumexp(functional.log_softmax(logits, dim=-1), 0) - math.log(2)
