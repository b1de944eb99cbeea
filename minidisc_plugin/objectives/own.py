"""Keys of the section `distillation` that an objective with settings of its own does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown

if TYPE_CHECKING:
    from minidisc_plugin.contracts.distillation import DistillationConfig

_OTHERS = ("temperature", "loss_types", "loss_weights")


def refuse_shared(settings: DistillationConfig) -> None:
    """Refuse keys of other objectives, with values that would ask for something.

    Raises:
        ConfigError: names the key.
    """
    for key in _OTHERS:
        value = getattr(settings, key)
        if value != type(settings).model_fields[key].default:
            name = settings.objective
            raise ConfigError(
                f"distillation.{key}: {shown(value)} does nothing with distillation.objective: {name}; remove it, and "
                f"see distillation.{name}"
            )
