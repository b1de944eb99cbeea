"""One layer of a nested network, seen through its family: sizes, slicing, reordering, parameter counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minidisc_plugin.errors import UnsupportedModelError
from minidisc_plugin.nested.family import Family
from minidisc_plugin.nested.narrow import Constant, NoHeads, Nothing
from minidisc_plugin.nested.prefix import PrefixLinear

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class SlicedLayer:
    """Handles on the sliceable modules of one layer; absent where nothing is left to slice.

    Attributes:
        heads: Number of attention heads present.
        neurons: Number of feed-forward neurons present.
    """

    module: nn.Module
    attention: nn.Module | None
    head_inputs: tuple[PrefixLinear, ...]
    head_output: PrefixLinear | None
    neuron_inputs: tuple[PrefixLinear, ...]
    neuron_output: PrefixLinear | None
    head_size: int
    heads: int
    neurons: int
    family: Family

    def settings(self, heads: int, neurons: int) -> list[tuple[nn.Module, dict[str, Any]]]:
        """What these counts set: (a module, new values of its plain attributes) pairs."""
        width = heads * self.head_size
        changes: list[tuple[nn.Module, dict[str, Any]]] = []
        if self.attention is not None and self.head_output is not None:
            changes += [(linear, {"rows": width}) for linear in self.head_inputs]
            changes.append((self.head_output, {"columns": width}))
            # transformers 4 reshapes by these attributes.
            counts = {self.family.head_count: heads, self.family.head_width: width}
            changes.append((self.attention, counts))
        if self.neuron_output is not None:
            changes += [(linear, {"rows": neurons}) for linear in self.neuron_inputs]
            changes.append((self.neuron_output, {"columns": neurons}))
        return changes

    def kept_parameters(self, heads: int, neurons: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of a sliceable parameter and the view of it that these counts keep."""
        width = heads * self.head_size
        for linears, output, size in (
            (self.head_inputs, self.head_output, width),
            (self.neuron_inputs, self.neuron_output, neurons),
        ):
            for linear in linears:
                yield linear.weight, linear.weight[:size]
                if linear.bias is not None:
                    yield linear.bias, linear.bias[:size]
            if output is not None:
                yield output.weight, output.weight[:, :size]

    def dropped_parameters(self, heads: int, neurons: int) -> int:
        """Number of parameters that these counts leave out."""
        return sum(full.numel() - kept.numel() for full, kept in self.kept_parameters(heads, neurons))

    @torch.no_grad()
    def reorder(self, head_order: Tensor, neuron_order: Tensor) -> None:
        """Permute heads and neurons in place; the layer computes what it did before.

        Args:
            head_order: (heads,) the present index of each head in the new order.
            neuron_order: (neurons,) likewise for neurons.
        """
        inside = torch.arange(self.head_size)
        head_features = (head_order.cpu()[:, None] * self.head_size + inside).flatten()
        for linears, output, order in (
            (self.head_inputs, self.head_output, head_features),
            (self.neuron_inputs, self.neuron_output, neuron_order),
        ):
            for linear in linears:
                index = order.to(linear.weight.device)
                linear.weight.copy_(linear.weight[index])
                if linear.bias is not None:
                    linear.bias.copy_(linear.bias[index])
            if output is not None:
                output.weight.copy_(output.weight[:, order.to(output.weight.device)])


def sliced_layers(model: PreTrainedModel, family: Family) -> list[SlicedLayer]:
    """Find the layers of `model` and turn their sliceable projections into prefix projections.

    Raises:
        UnsupportedModelError: the model's modules are not where its family says.
    """
    try:
        layers = model.base_model.get_submodule(family.layers)
        assert isinstance(layers, nn.ModuleList)
        return [_sliced_layer(layer, family) for layer in layers]
    except (AttributeError, AssertionError) as error:
        raise UnsupportedModelError(
            f"model: {type(model).__name__} is not built as its family {family.model_type!r} declares ({error})"
        ) from error


def _sliced_layer(layer: nn.Module, family: Family) -> SlicedLayer:
    def prefix(path: str) -> PrefixLinear | None:
        module = layer.get_submodule(path)
        if isinstance(module, (Constant, Nothing)):
            return None
        # Quantised and adapted layers derive from nn.Linear, and compute something else.
        assert isinstance(module, nn.Linear) and type(module) in (nn.Linear, PrefixLinear), (
            f"{path} is a {type(module).__name__}"
        )
        return PrefixLinear.share(module)

    def prefixes(paths: tuple[str, ...]) -> tuple[PrefixLinear, ...]:
        return tuple(linear for linear in map(prefix, paths) if linear is not None)

    attention: nn.Module | None = layer.get_submodule(family.attention)
    if isinstance(attention, NoHeads):
        attention = None
    head_output, neuron_output = prefix(family.head_output), prefix(family.neuron_output)
    return SlicedLayer(
        module=layer,
        attention=attention,
        head_inputs=() if attention is None else prefixes(family.head_inputs),
        head_output=head_output,
        neuron_inputs=prefixes(family.neuron_inputs),
        neuron_output=neuron_output,
        head_size=0 if attention is None else getattr(attention, family.head_size),
        heads=0 if attention is None else getattr(attention, family.head_count),
        neurons=0 if neuron_output is None else neuron_output.in_features,
        family=family,
    )
