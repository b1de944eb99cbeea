"""The order in which heads and neurons are kept: importance scores in, global ranks and allocations out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Ties = Sequence[int | None]


@dataclass(frozen=True)
class UnitRanking:
    """Heads, or neurons, of all layers in one global order.

    Attributes:
        order: Per layer, (units,) indices before reordering, the most important unit first.
        ranks: Per layer, (units,) ascending positions of the reordered units in the global order, 0 the first kept;
            units that come and go together share a position.
        total: Number of units of the network that scales refer to.
    """

    order: tuple[Tensor, ...]
    ranks: tuple[Tensor, ...]
    total: int

    def counts(self, scale: float) -> list[int]:
        """Units kept per layer at `scale` (in (0, 1]): the first `scale * total` of the global order, at least one."""
        kept = self.kept(scale)
        return [int(torch.searchsorted(ranks, kept)) for ranks in self.ranks]

    def kept(self, scale: float) -> int:
        """Units kept in all at `scale`, where each comes and goes alone."""
        return max(1, int(scale * self.total + 0.5))

    def trimmed(self, counts: Sequence[int]) -> UnitRanking:
        """The same ranking without the units beyond `counts`; scales still refer to the same total."""
        pairs = list(zip(counts, self.order, self.ranks, strict=True))
        return UnitRanking(
            tuple(torch.arange(count) for count, _, _ in pairs),
            tuple(ranks[:count] for count, _, ranks in pairs),
            self.total,
        )


@dataclass(frozen=True)
class Ranking:
    """Heads and neurons, ranked apart (section 3.1 of the paper)."""

    heads: UnitRanking
    neurons: UnitRanking

    def tensors(self) -> dict[str, Tensor]:
        """As named integer tensors, for safetensors."""
        named: dict[str, Tensor] = {}
        for kind, units in (("heads", self.heads), ("neurons", self.neurons)):
            named[f"{kind}.total"] = torch.tensor(units.total)
            for layer, (order, ranks) in enumerate(zip(units.order, units.ranks, strict=True)):
                named[f"{kind}.order.{layer}"] = order
                named[f"{kind}.ranks.{layer}"] = ranks
        return named

    @staticmethod
    def from_tensors(named: dict[str, Tensor]) -> Ranking:
        """The inverse of `tensors`."""

        def units(kind: str) -> UnitRanking:
            layers = range(sum(name.startswith(f"{kind}.order.") for name in named))
            ranks = tuple(named[f"{kind}.ranks.{layer}"] for layer in layers)
            order = tuple(named[f"{kind}.order.{layer}"] for layer in layers)
            return UnitRanking(order, ranks, int(named[f"{kind}.total"]))

        return Ranking(units("heads"), units("neurons"))


def rank_units(scores: Sequence[Tensor], ties: Ties = (), uniform: bool = False) -> UnitRanking:
    """Rank units globally by importance divided by their layer's L2 norm.

    Args:
        scores: Per layer, (units,) importance, at least 0 and finite. Ties keep the earlier layer and index first.
        ties: See best_first.
        uniform: Every layer keeps the same share of its units, the most important ones of its own.
    """
    ranking = best_first([score.double() / score.double().norm().clamp_min(1e-30) for score in scores], ties)
    return equal_shares(ranking) if uniform else ranking


def natural_order(sizes: Sequence[int], ties: Ties = (), uniform: bool = False) -> UnitRanking:
    """The ranking of a network that was not ranked: every layer keeps its first units, in equal shares."""
    scores = [torch.arange(size, 0, -1, dtype=torch.float64) / max(size, 1) for size in sizes]
    ranking = best_first(scores, ties)
    return equal_shares(ranking) if uniform else ranking


def best_first(scores: Sequence[Tensor], ties: Ties = ()) -> UnitRanking:
    """Rank units by scores that are comparable between layers; equal scores keep the earlier layer and index first.

    Args:
        scores: Per layer, (units,).
        ties: Per layer, which tie it belongs to, or None; empty where none does. Layers of one tie rank by their mean
            scores, keep the same units at every scale, and at least one.
    """
    members: dict[int, list[int]] = {}
    for layer, tie in enumerate(ties):
        if tie is not None:
            members.setdefault(tie, []).append(layer)
    scores = list(scores)
    for layers in members.values():
        mean = torch.stack([scores[layer] for layer in layers]).mean(0)
        for layer in layers:
            scores[layer] = mean
    layer_of = torch.cat([torch.full((len(score),), layer) for layer, score in enumerate(scores)])
    order_of_all = torch.sort(torch.cat(scores), descending=True, stable=True).indices
    starts = [0]
    for score in scores:
        starts.append(starts[-1] + len(score))
    ranks = [(layer_of[order_of_all] == layer).nonzero().flatten() for layer in range(len(scores))]
    order = [order_of_all[layer_ranks] - starts[layer] for layer, layer_ranks in enumerate(ranks)]
    for layers in members.values():
        shared = ranks[layers[0]].clone()
        shared[0] = 0
        for layer in layers:
            ranks[layer] = shared
    return UnitRanking(tuple(order), tuple(ranks), starts[-1])


def equal_shares(ranking: UnitRanking) -> UnitRanking:
    """The same order within layers, with ranks by which every layer keeps the same share of its units, at least one."""
    ranks = []
    for order in ranking.order:
        positions = ((torch.arange(len(order)) + 0.5) * ranking.total / max(len(order), 1)).long()
        positions[:1] = 0
        ranks.append(positions)
    return UnitRanking(ranking.order, tuple(ranks), ranking.total)
