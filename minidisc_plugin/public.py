"""Public names that look up a model's family, which inside of the package is handed in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.contracts.pruning import PruningConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.contracts.workbench import Allocation
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.types import type_of
from minidisc_plugin.nested import checkpoint, model
from minidisc_plugin.nested.deriving.derive import family_for
from minidisc_plugin.plugins import families
from minidisc_plugin.run import budget

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Networks(type):
    """Networks that a run makes, whose family is handed in, are such networks, too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, model.NestedModel)


class NestedModel(model.NestedModel, metaclass=_Networks):
    """A parameter-shared network over `model`, which it takes over: weights are reordered in place by `rank`.

    At scale 1 it computes what `model` computed. Pass `copy.deepcopy(model)` to keep the original untouched.

    Args:
        model: A model of a supported family.
        family: Where its heads and neurons live; found by `config.model_type` when left out.
        allocation: "global" keeps the most important units of the whole model, as published; "uniform" keeps the same
            share of every layer.

    Raises:
        UnsupportedModelError: no family fits; the message lists those supported.
    """

    def __init__(self, model: PreTrainedModel, family: Family | None = None, allocation: Allocation = "global") -> None:
        super().__init__(model, family or family_for(model, families()), allocation)


def load(directory: str | os.PathLike[str], *, trust_remote_code: bool = False, **kwargs: Any) -> PreTrainedModel:
    """Load a teacher, an assistant or a student from a folder; no code of that folder is run unless it is trusted.

    Weights are in the type that most of them are saved in, unless `dtype` (or `torch_dtype`) says otherwise.

    Args:
        directory: A folder that `save_pretrained` wrote.
        trust_remote_code: Run code of the folder, which a model of no class of transformers needs.
        **kwargs: Passed to `PreTrainedModel.from_pretrained`.

    Raises:
        ConfigError: no checkpoint there, a broken one, or one of a class that transformers does not have.
    """
    return checkpoint.load(directory, families(), trust_remote_code=trust_remote_code, **kwargs)


def sparsity_within(
    teacher: PreTrainedModel,
    *,
    max_parameters: int | str | None = None,
    max_bytes: int | str | None = None,
    allocation: Allocation = "global",
) -> float:
    """The sparsity of the largest student within a budget: what `target_sparsity` of a scheduler, or of a host, may be.

    Args:
        teacher: A model of a supported family; left as it is.
        max_parameters: Of the whole student, embeddings included: 10_000_000 or "10M".
        max_bytes: Of its weight files, in the teacher's type: 20_000_000, "20MB" or "20MiB".
        allocation: See NestedModel.

    Returns:
        A share in (0, 1), in steps of 0.0001.

    Raises:
        ConfigError: not one of the two is given, no student is within it, or the teacher itself is.
        UnsupportedModelError: no family fits.
    """
    if (max_parameters is None) == (max_bytes is None):
        raise ConfigError("sparsity_within: give max_parameters or max_bytes, one of the two")
    pruning = validate(PruningConfig, {"max_parameters": max_parameters, "max_bytes": max_bytes})
    return budget.sparsity_within(pruning, teacher, family_for(teacher, families()), type_of(teacher), allocation)
