"""How long what a model reads may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
    return min(tables) if tables else getattr(model.config, "max_position_embeddings", None) or 0
