"""Rankings made to order, and other ways to compute what a slice computes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from minidisc_plugin import NestedModel
from minidisc_plugin.nested.ranking import Ranking, rank_units
from tests.builders.tiny import make_batch, make_bert

HEADS, NEURONS, HEAD_SIZE = 4, 64, 8  # of each of the two layers that `make_bert` makes
SCALES = (1.0, 0.9, 0.5, 0.3, 0.1)


def logits(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits without gradient."""
    with torch.no_grad():
        return model(**batch).logits.clone()


def random_scores(sizes: Sequence[int], seed: int) -> list[Tensor]:
    """Importance of as many units per layer, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(size, generator=generator) + 0.01 for size in sizes]


def make_ranking(headless: int | None = None, neuronless: int | None = None, seed: int = 0) -> Ranking:
    """A random ranking for `make_bert`'s two layers; a named layer loses all its heads, or neurons, first."""
    heads, neurons = random_scores([HEADS, HEADS], seed), random_scores([NEURONS, NEURONS], seed + 1)
    for scores, layer in ((heads, headless), (neurons, neuronless)):
        if layer is not None:
            scores[layer].mul_(0)
    return Ranking(rank_units(heads), rank_units(neurons))


# At scale 0.5 and below, what each of these names is missing.
RANKINGS = {
    "every layer keeps some": make_ranking(),
    "layer 0 without heads": make_ranking(headless=0),
    "layer 1 without neurons": make_ranking(neuronless=1),
    "layer 1 without heads, layer 0 without neurons": make_ranking(headless=1, neuronless=0),
    "layer 0 without either": make_ranking(headless=0, neuronless=0),
}


def make_nested(ranking: Ranking | None = None, **settings: object) -> NestedModel:
    """A nested network over a tiny BERT of three labels, with `ranking` applied."""
    nested = NestedModel(make_bert(labels=3, **settings))
    if ranking is not None:
        nested.apply_ranking(ranking)
    return nested


def make_ranked() -> NestedModel:
    """A nested network over a tiny BERT of three labels, ranked by importance."""
    nested = NestedModel(make_bert(labels=3))
    nested.rank([make_batch(seed=1)])
    return nested


def dropped_units(order: Tensor, kept: int) -> list[int]:
    """Indices, in the model before reordering, of the units of a layer that a slice leaves out."""
    return sorted(order[kept:].tolist())


@torch.no_grad()
def silenced(
    model: PreTrainedModel, ranking: Ranking, heads: Sequence[int] | None, neurons: Sequence[int] | None
) -> PreTrainedModel:
    """A copy, at full size and in the original order, in which nobody listens to the units beyond these counts.

    None leaves heads, or neurons, as they are.
    """
    model = copy.deepcopy(model)
    for index, layer in enumerate(model.bert.encoder.layer):
        if heads is not None:
            for head in dropped_units(ranking.heads.order[index], heads[index]):
                layer.attention.output.dense.weight[:, head * HEAD_SIZE : (head + 1) * HEAD_SIZE] = 0
        if neurons is not None:
            layer.output.dense.weight[:, dropped_units(ranking.neurons.order[index], neurons[index])] = 0
    return model
