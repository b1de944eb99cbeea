"""NestedModel: one Hugging Face model whose every scale is a prefix slice of the same parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from minidisc_plugin.errors import ConfigError
from minidisc_plugin.nested.checkpoint import as_narrow
from minidisc_plugin.nested.family import Family, family_of
from minidisc_plugin.nested.importance import importance
from minidisc_plugin.nested.layers import sliced_layers
from minidisc_plugin.nested.narrow import NoHeads, narrow
from minidisc_plugin.nested.ranking import Ranking, natural_order, rank_units
from minidisc_plugin.reporting.records import Candidate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Attention cannot reshape to zero heads in every release of transformers, so such a layer's is stood in for.
_NO_HEADS = NoHeads().forward


class _Setting(NamedTuple):
    """What one scale means: modules with the values of their plain attributes, and attentions without heads."""

    changes: list[tuple[nn.Module, dict[str, Any]]]
    headless: list[nn.Module]


class NestedModel(nn.Module):
    """A parameter-shared network over `model`, which it takes over: weights are reordered in place by `rank`.

    At scale 1 it computes what `model` computed. Pass `copy.deepcopy(model)` to keep the original untouched.

    Args:
        model: A model of a supported family.
        family: Where its heads and neurons live; found by `config.model_type` when left out.

    Raises:
        UnsupportedModelError: no family fits; the message lists those supported.
    """

    def __init__(self, model: PreTrainedModel, family: Family | None = None) -> None:
        super().__init__()
        self.model = model
        self.family = family or family_of(model.config)
        self._layers = sliced_layers(model, self.family)
        self._parameters_in_all = sum(parameter.numel() for parameter in model.parameters())
        self._parameters_in_layers = sum(p.numel() for layer in self._layers for p in layer.module.parameters())
        self.ranking = Ranking(
            natural_order([layer.heads for layer in self._layers]),
            natural_order([layer.neurons for layer in self._layers]),
        )
        self.largest_scale = 1.0
        self._settings: dict[float, _Setting] = {}
        self._headless: list[nn.Module] = []
        self.set_scale(1.0)

    def rank(self, batches: Iterable[Mapping[str, Any]]) -> Ranking:
        """Score heads and neurons on labelled batches and reorder the weights by importance (section 3.1).

        Raises:
            DataError: no batch, no labels, or a loss that is not finite.
        """
        self.set_scale(1.0)
        heads, neurons = importance(self.model, self._layers, batches)
        ranking = Ranking(rank_units(heads), rank_units(neurons))
        self.apply_ranking(ranking)
        return ranking

    def apply_ranking(self, ranking: Ranking) -> None:
        """Reorder the weights by a ranking made earlier for the same, still unranked weights."""
        for layer, heads, neurons in zip(self._layers, ranking.heads.order, ranking.neurons.order, strict=True):
            layer.reorder(heads, neurons)
        self.ranking = ranking
        self._settings.clear()
        self.set_scale(self.scale)

    def sizes(self, scale: float) -> tuple[list[int], list[int]]:
        """Heads and neurons per layer at `scale`, in (0, 1]."""
        if not 0.0 < scale <= self.largest_scale:
            raise ConfigError(f"scale {scale:g} is outside (0, {self.largest_scale:g}]")
        return self.ranking.heads.counts(scale), self.ranking.neurons.counts(scale)

    def set_scale(self, scale: float) -> None:
        """Make the following forward passes use the slice at `scale`; no weight is copied."""
        setting = self._settings.get(scale)
        if setting is None:
            setting = self._settings[scale] = self._setting(scale)
        self._release()
        for module, values in setting.changes:
            module.__dict__.update(values)
        for module in setting.headless:
            module.__dict__["forward"] = _NO_HEADS
        self._headless = setting.headless
        self.scale = scale

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model at the present scale."""
        return self.model(*args, **kwargs)

    def parameter_counts(self, scale: float) -> tuple[int, int]:
        """Parameters of the slice at `scale`: of the whole model, and of its layers alone (encoder parameters)."""
        dropped = sum(
            layer.dropped_parameters(heads, neurons)
            for layer, heads, neurons in zip(self._layers, *self.sizes(scale), strict=True)
        )
        return self._parameters_in_all - dropped, self._parameters_in_layers - dropped

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
        self.set_scale(scale)
        self._release()
        narrow(self.model, self.family.paths(), heads, neurons)
        self._layers = sliced_layers(self.model, self.family)
        self._parameters_in_all, self._parameters_in_layers = (
            sum(parameter.numel() for parameter in self.model.parameters()),
            sum(p.numel() for layer in self._layers for p in layer.module.parameters()),
        )
        self.ranking = Ranking(self.ranking.heads.trimmed(heads), self.ranking.neurons.trimmed(neurons))
        self.largest_scale = scale
        self._settings.clear()
        self.set_scale(scale)

    def extract(self, scale: float) -> PreTrainedModel:
        """A standalone Hugging Face model with the weights, and the logits, of the slice at `scale`.

        It shares nothing with this network; `save_pretrained` writes a checkpoint that loads without this package.
        """
        heads, neurons = self.sizes(scale)
        present = self.scale
        self._release()
        try:
            # Copy the module tree with each sliced parameter replaced by its prefix: never a copy at full size.
            memo: dict[int, Any] = {}
            for layer, head_count, neuron_count in zip(self._layers, heads, neurons, strict=True):
                for full, kept in layer.kept_parameters(head_count, neuron_count):
                    memo[id(full)] = nn.Parameter(kept.detach().clone(), requires_grad=full.requires_grad)
            small = copy.deepcopy(self.model, memo)
        finally:
            self.set_scale(present)
        return as_narrow(small, self.family, heads, neurons)

    def _setting(self, scale: float) -> _Setting:
        setting = _Setting([], [])
        for layer, heads, neurons in zip(self._layers, *self.sizes(scale), strict=True):
            setting.changes.extend(layer.settings(heads, neurons))
            if layer.attention is not None and heads == 0:
                setting.headless.append(layer.attention)
        return setting

    def _release(self) -> None:
        """Give layers that have no head at the present scale their own forward back."""
        for module in self._headless:
            module.__dict__.pop("forward", None)
        self._headless = []
