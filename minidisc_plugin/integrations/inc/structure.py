"""Heads and neurons among the linear layers that Neural Compressor hands to a pruner: names and modules, no model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from minidisc_plugin.contracts.family import Family, Heads, Neurons
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.plugins import families


@dataclass
class Units:
    """The heads, or the neurons, of one layer, each with its features in every projection.

    Attributes:
        inputs: Names of the projections whose rows belong to units.
        output: Name of the projection whose columns do.
        reader: That projection.
        size: Features of a unit that it reads.
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
            rows = self.kept.repeat_interleave(masks[name].shape[0] // len(self.kept))
            masks[name].copy_(rows[:, None].expand_as(masks[name]))
        masks[self.output].copy_(features.expand_as(masks[self.output]))


def find_units(modules: Mapping[str, nn.Linear], head_size: int) -> tuple[list[Units], list[Units]]:
    """Heads and neurons of all layers whose every projection is among `modules`, in their order in the model.

    Raises:
        ConfigError: there are none, for any family that has a projection of its own for query, key and value.
    """
    known = {name: family for name, family in families().items() if _separate(family)}
    for family in known.values():
        for layout in family.layouts:
            heads = _units_of(layout.heads, modules, head_size)
            neurons = _units_of(layout.neurons, modules, 1)
            if heads and neurons:
                return heads, neurons
    raise ConfigError(
        f"pruning_type: 'minidisc' found no whole layer of a family that it can prune ({', '.join(sorted(known))}) "
        f"among the {len(modules)} modules to prune; do not narrow op_names, excluded_op_names or pruning_op_types"
    )


def _separate(family: Family) -> bool:
    """Whether masks of linear layers can leave out units one by one."""
    places = [units for layout in family.layouts for units in layout.places]
    heads = [units for layout in family.layouts for units in layout.heads]
    return all(units.fused == 1 for units in places) and not any(units.tied for units in heads)


def _units_of(places: Sequence[Heads | Neurons], modules: Mapping[str, nn.Linear], size: int) -> list[Units]:
    units = []
    for place in places:
        for prefix in _layers_at(place.at, modules):
            wanted = [*place.inputs, *(place.grouped if isinstance(place, Heads) else ())]
            wanted += [path for path in place.optional if f"{prefix}.{path}" in modules]
            names = tuple(f"{prefix}.{path}" for path in wanted)
            output = f"{prefix}.{place.output}"
            if wanted and all(name in modules for name in (*names, output)):
                units.append(_units(names, output, modules, size))
    return units


def _units(names: tuple[str, ...], output: str, modules: Mapping[str, nn.Linear], size: int) -> Units:
    """One place; where keys serve several queries, a unit is a key-value head with all its query heads."""
    reader = modules[output]
    fewest = min(modules[name].out_features for name in names)
    return Units(names, output, reader, size * max(1, reader.in_features // fewest))


def _layers_at(at: str, modules: Mapping[str, nn.Linear]) -> list[str]:
    """Names of the layers at a family's path, below whatever holds its base model, in their order in the model."""
    pattern = re.compile(r"((?:.*\.)?" + re.escape(at).replace(r"\*", r"\d+") + r")\.")
    found = {match[1] for name in modules if (match := pattern.match(name))}

    def in_order(name: str) -> list[tuple[int, int | str]]:
        return [(0, int(part)) if part.isdigit() else (1, part) for part in name.split(".")]

    return sorted(found, key=in_order)
