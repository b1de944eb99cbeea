"""Types of weights: what they are trained in, and what a student is saved in."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

HALF = ("float16", "bfloat16")
SINGLE = "float32"
# From here on weights, gradients and optimizer states of four bytes each are more than most machines have.
_MANY = 1_000_000_000


def trained_type(wanted: str | None, saved: str, numbers: int) -> str:
    """The type in which a teacher's weights are loaded, and what is made of them is trained.

    Small updates vanish in weights of half precision, so these are widened, unless there are so many that this would
    decide where a run fits.

    Args:
        wanted: What `engine.weights` says.
        saved: The type of most of the weights in the teacher's files.
        numbers: How many weights it has.
    """
    if wanted is not None:
        return wanted
    return "bfloat16" if saved in HALF and numbers >= _MANY else SINGLE


def student_type(saved: str) -> str:
    """The type in which students and assistants of a teacher are saved: its own where that is one of half precision."""
    return saved if saved in HALF else SINGLE


def type_of(model: PreTrainedModel) -> str:
    """The type of a model's weights, as torch calls it."""
    return str(model.dtype).removeprefix("torch.")


def in_type(model: PreTrainedModel, kind: str) -> PreTrainedModel:
    """The model in a type: a copy, or itself where it is of that type, or where that type cannot hold its weights."""
    import torch

    if type_of(model) == kind:
        return model
    changed = copy.deepcopy(model).to(getattr(torch, kind))
    if kind in HALF and not all(torch.isfinite(weight).all() for weight in changed.parameters()):
        logger.warning("%s cannot hold every weight, so it stays in %s", kind, type_of(model))
        return model
    return changed
