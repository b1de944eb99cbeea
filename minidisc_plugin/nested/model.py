"""NestedModel: one Hugging Face model whose every scale is a prefix slice of the same parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.contracts.records import Candidate
from minidisc_plugin.contracts.workbench import Allocation
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.nested.checkpoint import as_checkpoint, freeze_unsaved
from minidisc_plugin.nested.importance import importance
from minidisc_plugin.nested.narrow import narrow
from minidisc_plugin.nested.ranking import Ranking, natural_order, rank_units
from minidisc_plugin.nested.units import Units, structure_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel
Setting = list[tuple[nn.Module, dict[str, int]]]


class NestedModel(nn.Module):
    """A parameter-shared network over `model`, which it takes over: weights are reordered in place by `rank`.

    At scale 1 it computes what `model` computed. Pass `copy.deepcopy(model)` to keep the original untouched.

    Args:
        model: A model of a supported family.
        family: Where its heads and neurons live.
        allocation: "global" keeps the most important units of the whole model, as published; "uniform" keeps the same
            share of every layer.

    Raises:
        UnsupportedModelError: the model is not built as its family declares.
    """

    def __init__(self, model: PreTrainedModel, family: Family, allocation: Allocation = "global") -> None:
        super().__init__()
        self.model = model
        self.family = family
        self.allocation = allocation
        freeze_unsaved(model)
        self._read_structure()
        ties = self._ties()
        uniform = allocation == "uniform"
        self.ranking = Ranking(
            natural_order([units.count for units in self._structure.heads], ties, uniform),
            natural_order([units.count for units in self._structure.neurons], (), uniform),
        )
        self.largest_scale = 1.0
        self._settings: dict[float, Setting] = {}
        self.set_scale(1.0)

    def rank(self, batches: Iterable[Mapping[str, Any]]) -> Ranking:
        """Score heads and neurons on labelled batches and reorder the weights by importance (section 3.1).

        Raises:
            DataError: no batch, no labels, or a loss that is not finite.
        """
        self.set_scale(1.0)
        heads, neurons = importance(self.model, self._structure, batches)
        uniform = self.allocation == "uniform"
        ranking = Ranking(rank_units(heads, self._ties(), uniform), rank_units(neurons, (), uniform))
        self.apply_ranking(ranking)
        return ranking

    def apply_ranking(self, ranking: Ranking) -> None:
        """Reorder the weights by a ranking made earlier for the same, still unranked weights."""
        for units, order in zip(self._structure.places, (*ranking.heads.order, *ranking.neurons.order), strict=True):
            units.reorder(order)
        self.ranking = ranking
        self._settings.clear()
        self.set_scale(self.scale)

    def sizes(self, scale: float) -> tuple[list[int], list[int]]:
        """Units of heads, and neurons, of every place at `scale`, in (0, 1]; places as the family declares them."""
        if not 0.0 < scale <= self.largest_scale:
            raise ConfigError(f"scale {scale:g} is outside (0, {self.largest_scale:g}]")
        return self.ranking.heads.counts(scale), self.ranking.neurons.counts(scale)

    def set_scale(self, scale: float) -> None:
        """Make the following forward passes use the slice at `scale`; no weight is copied."""
        setting = self._settings.get(scale)
        if setting is None:
            setting = self._settings[scale] = [
                change for units, count in self._places(scale) for change in units.settings(count)
            ]
        for module, values in setting:
            module.__dict__.update(values)
        self.scale = scale

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model at the present scale."""
        return self.model(*args, **kwargs)

    def parameter_counts(self, scale: float) -> tuple[int, int]:
        """Parameters of the slice at `scale`: of the whole model, and of its layers alone (encoder parameters)."""
        dropped = sum(units.dropped_parameters(count) for units, count in self._places(scale))
        return self._parameters_in_all - dropped, self._parameters_in_layers - dropped

    def parameters_at_most(self, scale: float) -> int:
        """Parameters that the slice at `scale` has at most, the whole model's, whichever units a ranking keeps.

        In most families every unit of a kind has as many, and this is what `parameter_counts` says.
        """
        if self.allocation == "uniform":
            return self.parameter_counts(scale)[0]
        places = ((self._structure.heads, self.ranking.heads), (self._structure.neurons, self.ranking.neurons))
        most: int = self._parameters_in_all
        for kind, ranking in places:
            if len({units.tie for units in kind}) > 1:  # a tie keeps a unit of its places at least, and all at once
                kept = ranking.kept(scale) + sum(units.tie is not None for units in kind)
            else:
                kept = sum(ranking.counts(scale))
            left = max(0, ranking.total - kept)
            for units in sorted(kind, key=lambda units: units.parameters_of_one):
                out = min(left, units.count)
                most -= out * units.parameters_of_one
                left -= out
        return most

    def describe(self, scales: Iterable[float]) -> list[Candidate]:
        """Records of the slices at `scales`: sizes per layer and parameters, no metric."""
        candidates = []
        for scale in scales:
            heads, neurons = self.sizes(scale)
            parameters, in_layers = self.parameter_counts(scale)
            candidates.append(
                Candidate(
                    scale=scale,
                    sparsity=round(1 - scale, 6),
                    heads=heads,
                    neurons=neurons,
                    parameters=parameters,
                    encoder_parameters=in_layers,
                )
            )
        return candidates

    def trim(self, scale: float) -> None:
        """Drop the weights that no scale up to `scale` uses: memory and optimizer state shrink with them.

        Scales keep their meaning. Parameters are new objects: trim before an optimizer is made.
        """
        if scale == self.largest_scale:
            return
        heads, neurons = self.sizes(scale)
        narrow(self.model, self.family.plain(), heads, neurons)
        self._read_structure()
        self.ranking = Ranking(self.ranking.heads.trimmed(heads), self.ranking.neurons.trimmed(neurons))
        self.largest_scale = scale
        self._settings.clear()
        self.set_scale(scale)

    def extract(self, scale: float) -> PreTrainedModel:
        """A standalone Hugging Face model with the weights, and the logits, of the slice at `scale`.

        It shares nothing with this network; `save_pretrained` writes a checkpoint that loads without this package.
        """
        heads, neurons = self.sizes(scale)
        # Copy the module tree with each sliced parameter replaced by its prefix: never a copy at full size.
        memo: dict[int, Any] = {}
        for units, count in self._places(scale):
            # One unit of an emptied place: what stands in for it takes its shape from the weights.
            for full, kept in units.kept_parameters(max(count, 1) if units.count else 0):
                memo[id(full)] = nn.Parameter(kept.detach().clone(), requires_grad=full.requires_grad)
        small = copy.deepcopy(self.model, memo)
        return as_checkpoint(small, self.family, heads, neurons)

    def _places(self, scale: float) -> Iterator[tuple[Units, int]]:
        heads, neurons = self.sizes(scale)
        return zip(self._structure.places, (*heads, *neurons), strict=True)

    def _ties(self) -> list[int | None]:
        return [units.tie for units in self._structure.heads]

    def _read_structure(self) -> None:
        self._structure = structure_of(self.model, self.family)
        in_layers = {id(p): p.numel() for layer in self._structure.layers for p in layer.parameters()}
        self._parameters_in_all = sum(parameter.numel() for parameter in self.model.parameters())
        self._parameters_in_layers = sum(in_layers.values())
