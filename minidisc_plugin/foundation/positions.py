"""How long what a model reads may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


# What configs call them: of a text, and of a text that is written of a sound.
_NAMES = ("max_position_embeddings", "max_target_positions")


def positions(model: PreTrainedModel) -> int:
    """How many tokens the model's positions reach for; 0 where nothing tells.

    Models that came from fairseq number positions from behind the one that padding has.
    """
    from torch import nn

    tables = [
        module.num_embeddings - module.padding_idx - 1
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.padding_idx is not None and "position" in name.rpartition(".")[2]
    ]
    return (
        min(tables) if tables else next((found for name in _NAMES if (found := getattr(model.config, name, None))), 0)
    )
