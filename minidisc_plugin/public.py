"""Public names that look up a model's family, which inside of the package is handed in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.contracts.workbench import Allocation
from minidisc_plugin.nested import checkpoint, model
from minidisc_plugin.nested.family import family_of
from minidisc_plugin.plugins import families

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
        super().__init__(model, family or family_of(model.config, families()), allocation)


def load(directory: str | os.PathLike[str], **kwargs: Any) -> PreTrainedModel:
    """Load a teacher, an assistant or a student from a folder; no code of that folder is run.

    Weights are in the type that most of them are saved in, unless `dtype` (or `torch_dtype`) says otherwise.

    Args:
        directory: A folder that `save_pretrained` wrote.
        **kwargs: Passed to `PreTrainedModel.from_pretrained`.

    Raises:
        ConfigError: no checkpoint there, a broken one, or one of a class that transformers does not have.
    """
    return checkpoint.load(directory, families(), **kwargs)
