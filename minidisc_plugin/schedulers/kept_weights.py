"""Weights of finished stages, kept until the run ends: later stages, and a run that goes on, read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.foundation.atomic import atomic_path
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.training.device_memory import weight_bytes

if TYPE_CHECKING:
    from torch import nn


def save_weights(model: nn.Module, file: Path) -> None:
    """Keep the weights of a finished stage."""
    from safetensors.torch import save_model

    with storage_errors(file, weight_bytes(model)):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary:
            save_model(model, str(temporary))


def load_weights(model: nn.Module, file: Path) -> None:
    """Take over the weights of a finished stage."""
    from safetensors.torch import load_model

    load_model(model, file)
