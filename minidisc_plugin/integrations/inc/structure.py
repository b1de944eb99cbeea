"""Heads and neurons among the linear layers that Neural Compressor hands to a pruner: names and modules, no model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from minidisc_plugin.errors import ConfigError
from minidisc_plugin.nested.family import Family
from minidisc_plugin.plugins import families


@dataclass
class Units:
    """The heads, or the neurons, of one layer.

    Attributes:
        inputs: Names of the projections whose rows belong to units.
        output: Name of the projection whose columns do.
        reader: That projection.
        size: Features of a unit.
        scores: (units,) importance so far.
        kept: (units,) whether a unit is left.
    """

    inputs: tuple[str, ...]
    output: str
    reader: nn.Linear
    size: int
    scores: Tensor = field(init=False)
    kept: Tensor = field(init=False)

    def __post_init__(self) -> None:
        count, rest = divmod(self.reader.in_features, self.size)
        if rest:
            raise ConfigError(
                f"parameters.head_size: {self.size} does not divide the {self.reader.in_features} features of "
                f"{self.output}; give the features of a head"
            )
        self.scores = torch.zeros(count, dtype=torch.float64)
        self.kept = torch.ones(count, dtype=torch.bool)

    def add_importance(self) -> None:
        """Add |dL/dmask| of each unit: the sum of w * dL/dw over the weights that read it."""
        if self.reader.weight.grad is not None:
            product = (self.reader.weight.detach() * self.reader.weight.grad).sum(0)
            self.scores += product.reshape(-1, self.size).sum(1).abs().double().cpu()

    def ranked_scores(self) -> Tensor:
        """(units,) scores comparable between layers; units that are gone come last."""
        scores = self.scores / self.scores.norm().clamp_min(1e-30)
        return torch.where(self.kept, scores, -torch.ones_like(scores))

    def keep(self, units: Tensor, masks: Mapping[str, Tensor]) -> None:
        """Keep these of the units that are left, and mask the others out, in place."""
        wanted = torch.zeros_like(self.kept)
        wanted[units] = True
        self.kept &= wanted
        features = self.kept.repeat_interleave(self.size)
        for name in self.inputs:
            masks[name].copy_(features[:, None].expand_as(masks[name]))
        masks[self.output].copy_(features.expand_as(masks[self.output]))


@dataclass
class PrunedLayer:
    """One transformer layer: its heads and its neurons."""

    heads: Units
    neurons: Units

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all projections of the layer."""
        return tuple(name for units in (self.heads, self.neurons) for name in (*units.inputs, units.output))

    def add_importance(self) -> None:
        """See Units."""
        self.heads.add_importance()
        self.neurons.add_importance()


def find_layers(modules: Mapping[str, nn.Linear], head_size: int) -> list[PrunedLayer]:
    """Layers whose every projection is among `modules`, in their order in the model.

    Raises:
        ConfigError: there are none, for any family.
    """
    for family in families().values():
        layers = _layers_of(family, modules, head_size)
        if layers:
            return layers
    raise ConfigError(
        "pruning_type: 'minidisc' found no whole layer of a supported family "
        f"({', '.join(sorted(families()))}) among the {len(modules)} modules to prune; "
        "do not narrow op_names, excluded_op_names or pruning_op_types"
    )


def _layers_of(family: Family, modules: Mapping[str, nn.Linear], head_size: int) -> list[PrunedLayer]:
    paths = (*family.head_inputs, family.head_output, *family.neuron_inputs, family.neuron_output)
    pattern = re.compile(rf"((?:.*\.)?{re.escape(family.layers)}\.(\d+))\.({'|'.join(map(re.escape, paths))})$")
    found: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for name in modules:
        if match := pattern.match(name):
            found[match[1], int(match[2])].add(match[3])
    layers = []
    for (prefix, _), present in sorted(found.items(), key=lambda item: (item[0][0].rpartition(".")[0], item[0][1])):
        if present != set(paths):
            continue

        def units(inputs: tuple[str, ...], output: str, size: int, prefix: str = prefix) -> Units:
            name = f"{prefix}.{output}"
            return Units(tuple(f"{prefix}.{path}" for path in inputs), name, modules[name], size)

        layers.append(
            PrunedLayer(
                units(family.head_inputs, family.head_output, head_size),
                units(family.neuron_inputs, family.neuron_output, 1),
            )
        )
    return layers
