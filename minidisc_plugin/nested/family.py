"""What a model family declares: where attention heads and feed-forward neurons live in each of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from minidisc_plugin.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Family:
    """The paths of one family; all but `layers` are relative to a layer.

    Attributes:
        model_type: `config.model_type` of the models this family describes.
        layers: Path of the list of layers, from the model's `base_model`.
        attention: The module that splits projections into heads and returns `(context, weights)`.
        head_inputs: Linear projections whose output features belong to heads (query, key, value).
        head_output: The linear projection that reads the concatenated heads.
        neuron_inputs: Linear projections whose output features are feed-forward neurons (two when gated).
        neuron_output: The linear projection that reads the neurons.
        head_size: Attribute of the attention module: features per head.
        head_count: Attribute of the attention module: number of heads.
        head_width: Attribute of the attention module: number of heads times features per head.
        refuses: Config attributes that must be false, each with the reason.
    """

    model_type: str
    layers: str
    attention: str
    head_inputs: tuple[str, ...]
    head_output: str
    neuron_inputs: tuple[str, ...]
    neuron_output: str
    head_size: str
    head_count: str
    head_width: str
    refuses: tuple[tuple[str, str], ...] = ()

    def paths(self) -> dict[str, object]:
        """The declaration as plain data: what a saved checkpoint needs to rebuild its narrow layers."""
        return {
            "layers": self.layers,
            "attention": self.attention,
            "head_inputs": list(self.head_inputs),
            "head_output": self.head_output,
            "neuron_inputs": list(self.neuron_inputs),
            "neuron_output": self.neuron_output,
            "head_size": self.head_size,
            "head_count": self.head_count,
            "head_width": self.head_width,
        }

    def check(self, config: PretrainedConfig) -> None:
        """Raise UnsupportedModelError when a model of this config uses a feature that the family cannot slice."""
        for attribute, reason in self.refuses:
            value = getattr(config, attribute, None)
            if value:
                raise UnsupportedModelError(
                    f"model: {self.model_type} with {attribute}={value!r} is not supported: {reason}"
                )


BERT = Family(
    model_type="bert",
    layers="encoder.layer",
    attention="attention.self",
    head_inputs=("attention.self.query", "attention.self.key", "attention.self.value"),
    head_output="attention.output.dense",
    neuron_inputs=("intermediate.dense",),
    neuron_output="output.dense",
    head_size="attention_head_size",
    head_count="num_attention_heads",
    head_width="all_head_size",
    refuses=(("is_decoder", "only encoders are"), ("add_cross_attention", "only encoders are")),
)


def family_of(config: PretrainedConfig) -> Family:
    """The registered family of the models that `config` describes.

    Raises:
        UnsupportedModelError: no family is registered for `config.model_type`; the message names those that are.
    """
    from minidisc_plugin.plugins import families

    known = families()
    family = known.get(config.model_type)
    if family is None:
        raise UnsupportedModelError(
            f"model: architecture {config.model_type!r} is not supported; supported: {', '.join(sorted(known))}. "
            "A plug-in can add one through the hook minidisc_register_families"
        )
    family.check(config)
    return family


def encoder_parameters(model: PreTrainedModel) -> int:
    """Parameters of the layers of a supported model: all but embeddings, pooler and head."""
    layers = model.base_model.get_submodule(family_of(model.config).layers)
    return sum(parameter.numel() for parameter in layers.parameters())
