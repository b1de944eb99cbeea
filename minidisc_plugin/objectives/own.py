"""What objectives with settings of their own refuse alike: keys that they do not read, models of two stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.foundation.decoders import has_decoder
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

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


def refuse_two_stacks(name: str, does: str, model: PreTrainedModel, remedy: str = "") -> None:
    """Refuse an encoder-decoder model.

    Args:
        name: Of the objective.
        does: What it does with a stack of layers.
        model: It is to follow, or be followed.
        remedy: What may be set in place of another objective.

    Raises:
        ConfigError: the model is one.
    """
    if has_decoder(model):
        raise ConfigError(
            f"distillation.objective: {name!r} {does} one stack of layers, and {model.config.model_type} has two; set "
            f"{remedy}distillation.objective: minidisc"
        )
