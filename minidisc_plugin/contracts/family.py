"""What a model family declares: where attention heads and feed-forward neurons live in each of its layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class Heads:
    """One attention of every layer; all paths but `at` and `tables` are relative to the layer.

    A unit is one head; where keys and values are shared (`grouped`), one key-value head with all its query heads.

    Attributes:
        at: The layers, from the model's `base_model`; `*` stands for every member of a list.
        attention: The module that splits projections into heads.
        inputs: Projections whose output features belong to query heads.
        grouped: Projections whose output features belong to key-value heads, where these are fewer.
        optional: Further `inputs`, of those configs that have them.
        output: The projection that reads the heads, one after another.
        fused: In how many parts, one after another, the output features of `inputs` fall (3: query, key, value). In
            each part, or in the whole where it is 1, the features of a unit lie together, however many they are.
        head_size: Attribute of the attention: features per head.
        counts: Its attributes that hold the number of query heads; set where the installed transformers has them.
        widths: Likewise, that number times features per head.
        groups: Likewise, the number of key-value heads.
        tied: All these layers keep the same heads, because they share something with one entry a head.
        tables: Embeddings with one column a head: from `base_model` where `tied`, else of every layer.
    """

    at: str
    attention: str
    inputs: tuple[str, ...]
    output: str
    grouped: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    fused: int = 1
    head_size: str = "attention_head_size"
    counts: tuple[str, ...] = ("num_attention_heads",)
    widths: tuple[str, ...] = ("all_head_size",)
    groups: tuple[str, ...] = ()
    tied: bool = False
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """The feed-forward network of every layer; all paths but `at` are relative to the layer.

    Attributes:
        at: The layers, from the model's `base_model`; `*` stands for every member of a list.
        inputs: Projections whose output features are neurons (two when gated).
        optional: Further `inputs`, of those configs that have them.
        output: The projection that reads the neurons.
        fused: In how many parts, one after another, the output features of `inputs` fall (2: value, gate).
    """

    at: str
    output: str
    inputs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    fused: int = 1


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Every attention and every feed-forward network of a model; those that a model class lacks are passed over."""

    heads: tuple[Heads, ...]
    neurons: tuple[Neurons, ...]

    @property
    def places(self) -> tuple[Heads | Neurons, ...]:
        """All of them."""
        return (*self.heads, *self.neurons)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture.

    Attributes:
        model_type: `config.model_type` of the models this family describes.
        layouts: How its modules are laid out; releases of transformers may differ, and the first that fits is used.
        stock: How a config says that every layer has the same narrower width: (attribute, what it holds) with
            "heads", "groups", "head_size" or "neurons". Empty where it cannot.
        even_heads: Its config, in some release of transformers, wants the number of heads to divide `hidden_size`.
        refuses: Config attributes that must be false, each with the reason.
        derived: Found by the structure of a model and proven on it, declared by nobody.
    """

    model_type: str
    layouts: tuple[Layout, ...]
    stock: tuple[tuple[str, str], ...] = ()
    even_heads: bool = False
    refuses: tuple[tuple[str, str], ...] = ()
    derived: bool = False

    def plain(self) -> list[dict[str, Any]]:
        """The layouts as plain data: what a saved checkpoint needs to rebuild its narrow layers."""
        return [asdict(layout) for layout in self.layouts]

    def check(self, config: PretrainedConfig) -> None:
        """Raise UnsupportedModelError when a model of this config uses a feature that the family cannot slice."""
        for attribute, reason in self.refuses:
            value = getattr(config, attribute, None)
            if value:
                raise UnsupportedModelError(
                    f"model: {self.model_type} with {attribute}={value!r} is not supported: {reason}"
                )
