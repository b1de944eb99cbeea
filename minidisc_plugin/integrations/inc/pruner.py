"""The pruning type `minidisc` of Neural Compressor: whole heads and neurons, by importance, on INC's own schedule."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from neural_compressor.compression.pruner.pruners.base import PytorchBasePruner, register_pruner
from neural_compressor.compression.pruner.schedulers import get_scheduler
from neural_compressor.model.base_model import BaseModel
from torch import Tensor, nn

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.inc.structure import Units, find_units
from minidisc_plugin.nested.checkpoint import as_checkpoint
from minidisc_plugin.nested.deriving.derive import family_for
from minidisc_plugin.nested.ranking import best_first
from minidisc_plugin.nested.units import Units as SlicedUnits
from minidisc_plugin.nested.units import structure_of
from minidisc_plugin.plugins import families

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PRUNING_TYPE = "minidisc"


class _Units:
    """What Neural Compressor asks a pruner's pattern when it reports sparsity: masks are per weight, not per block."""

    block = False
    block_size: ClassVar[dict[str, Any]] = {}

    @staticmethod
    def get_sparsity_ratio(masks: dict[str, Tensor]) -> float:
        """Share of zeros among all masks."""
        total = sum(mask.numel() for mask in masks.values())
        return 1 - sum(int(mask.sum()) for mask in masks.values()) / max(total, 1)


@register_pruner(f"pt_{PRUNING_TYPE}")
class MiniDiscPruner(PytorchBasePruner):  # type: ignore[misc]
    """Masks the least important heads and neurons; what is pruned stays pruned, so that the masks are nested.

    `WeightPruningConfig(pruning_type="minidisc", target_sparsity=..., start_step=..., end_step=...,
    pruning_frequency=..., sparsity_decay_type=..., parameters={"head_size": 64})`. A unit's importance is the sum
    over steps of |dL/dmask|, which is |w . dL/dw| over the weights that read the unit; ranked globally, heads and
    neurons apart (section 3.1 of the paper). Projections that belong to no head or neuron are left alone.

    Raises:
        ConfigError: the modules that Neural Compressor found hold no layers of a supported family, or `head_size` is
            missing or does not divide the projections.
    """

    modules: dict[str, nn.Linear]
    masks: dict[str, Tensor]

    def _init(self) -> None:
        head_size = self.config.get("head_size")
        if not isinstance(head_size, int) or head_size < 1:
            raise ConfigError(
                f"parameters.head_size: {head_size!r} cannot be used: Neural Compressor shows a pruner linear layers "
                "only, so give the features of a head, WeightPruningConfig(..., parameters={'head_size': 64})"
            )
        self.units: tuple[list[Units], list[Units]] = find_units(self.modules, head_size)
        names = {name for kind in self.units for units in kind for name in (*units.inputs, units.output)}
        self.modules = {name: module for name, module in self.modules.items() if name in names}
        self.masks = {name: mask for name, mask in self.masks.items() if name in names}
        self.pattern = _Units()
        self.scheduler = get_scheduler(self.config)
        self._steps_seen = 0
        self._due: float | None = None

    def on_before_optimizer_step(self) -> None:
        """Add this step's importance."""
        for kind in self.units:
            for units in kind:
                units.add_importance()
        self._steps_seen += 1

    def update_masks(self, local_step: int) -> None:
        """Prune to what the schedule says for this step; the first time after a gradient has been seen."""
        if self.check_is_pruned_step(self.global_step):
            self._due = self.scheduler.update_sparsity_ratio(
                self.target_sparsity_ratio,
                self.completed_pruned_cnt,
                self.total_prune_cnt,
                self.masks,
                self.init_sparsity_ratio,
            )
            self.completed_pruned_cnt += 1
        if self._due is None or not self._steps_seen:
            return
        self._prune_to(self._due)
        self._due = None
        self.mask_weights()
        self.current_sparsity_ratio = self.pattern.get_sparsity_ratio(self.masks)

    def _prune_to(self, sparsity: float) -> None:
        for kind in self.units:
            ranking = best_first([units.ranked_scores() for units in kind])
            for units, order, count in zip(kind, ranking.order, ranking.counts(1 - sparsity), strict=True):
                units.keep(order[:count], self.masks)


def slim(model: Any) -> PreTrainedModel:
    """The small standalone model inside one that was pruned with `pruning_type="minidisc"`.

    Args:
        model: A Hugging Face model of a supported family, or Neural Compressor's wrapper of one; left as it is.

    Returns:
        A model without the heads and neurons whose weights are zero, with the same logits; it saves and loads as
        every checkpoint of this package does.
    """
    small = copy.deepcopy(model.model if isinstance(model, BaseModel) else model)
    family = family_for(small, families())
    structure = structure_of(small, family)
    kept = []
    for units in structure.places:
        count, order = _kept_first(units)
        units.reorder(order)
        kept.append(count)
    heads = len(structure.heads)
    return as_checkpoint(small, family, kept[:heads], kept[heads:])


def _kept_first(units: SlicedUnits) -> tuple[int, Tensor]:
    """How many units some weight reads, and an order with those first."""
    if not units.count:
        return 0, torch.arange(0)
    used = units.output.weight.detach().reshape(units.output.out_features, units.count, -1).abs().sum((0, 2)) > 0
    return int(used.sum()), torch.cat([used.nonzero().flatten(), (~used).nonzero().flatten()])
