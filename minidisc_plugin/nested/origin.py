"""Where a model's weights lie. Other tools read them again from there: Neural Compressor does while it quantizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def forget_origin(model: PreTrainedModel) -> None:
    """Let a model, its parts and their configs name no folder, as those that were never loaded do."""
    _set(model, "")


def remember_origin(model: PreTrainedModel, folder: str | os.PathLike[str]) -> None:
    """Let a model name the folder that it was saved to; a checkpoint of a Trainer goes as training goes on."""
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

    if not Path(folder).name.startswith(f"{PREFIX_CHECKPOINT_DIR}-"):
        _set(model, os.fspath(folder))


def _set(model: PreTrainedModel, folder: str) -> None:
    for module in model.modules():
        if "name_or_path" in vars(module):
            module.name_or_path = folder
        for config in _configs(getattr(module, "config", None)):
            config.name_or_path = folder


def _configs(config: Any) -> Iterator[PretrainedConfig]:
    """A config and those of the parts of a composed model."""
    from transformers import PretrainedConfig

    if isinstance(config, PretrainedConfig):
        yield config
        for part in vars(config).values():
            yield from _configs(part)
