"""One embedding a text out of the hidden states of its tokens, as sentence-transformers makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig

KEY = "sentence_embedding"
"""The attribute of a model's config that says how its embeddings are made."""


@dataclass(frozen=True)
class Pooling:
    """How hidden states become an embedding; each mode gives as many numbers as a hidden state has.

    Attributes:
        modes: Of sentence-transformers' Pooling: `mean`, `cls`, `max`, `mean_sqrt_len_tokens`, `weightedmean`,
            `lasttoken`; several are put after one another.
        normalize: Whether its length is brought to 1.
    """

    modes: tuple[str, ...] = ("mean",)
    normalize: bool = False

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """What a model's config says; the mean of all tokens where it says nothing."""
        said: Mapping[str, Any] = getattr(config, KEY, None) or {}
        return cls(tuple(said.get("pooling", cls.modes)), bool(said.get("normalize", cls.normalize)))

    def plain(self) -> dict[str, Any]:
        """As a model's config holds it."""
        return {"pooling": list(self.modes), "normalize": self.normalize}

    def __call__(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, width * modes) embeddings in single precision, of (batch, tokens, width) states.

        Args:
            states: The last hidden states.
            mask: (batch, tokens), 1 for real tokens; all are real where there is none.
        """
        from torch.nn import functional

        states = states.float()
        real = states.new_ones(states.shape[:2]) if mask is None else mask.to(states)
        parts = [_pooled(states, real, mode) for mode in self.modes]
        found = _joined(parts)
        return functional.normalize(found, dim=-1) if self.normalize else found


@dataclass(frozen=True)
class Reading:
    """How texts are read before a model embeds them.

    Attributes:
        prompt: What every text begins with.
        lower_case: Whether it is read in small letters.
        max_tokens: Where it is cut at the latest; None where nothing says.
    """

    prompt: str = ""
    lower_case: bool = False
    max_tokens: int | None = None

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """What a model's config says."""
        said: Mapping[str, Any] = getattr(config, KEY, None) or {}
        return cls(**{name: said[name] for name in ("prompt", "lower_case", "max_tokens") if name in said})

    def __call__(self, text: str) -> str:
        """A text as it is tokenised."""
        whole = self.prompt + text
        return whole.lower() if self.lower_case else whole


def _pooled(states: Tensor, real: Tensor, mode: str) -> Tensor:
    """(batch, width) by one mode; `real` (batch, tokens) is 1 for real tokens."""
    import torch

    if mode in ("cls", "lasttoken"):
        places = torch.arange(states.shape[1], device=states.device)
        place = (real * (places if mode == "lasttoken" else places.flip(0) + 1)).argmax(1)
        return states[torch.arange(len(states), device=states.device), place]
    if mode == "max":
        return states.masked_fill(real[..., None] == 0, -torch.inf).amax(1)
    weights = real * real.cumsum(1) if mode == "weightedmean" else real
    total = (states * weights[..., None]).sum(1)
    count = weights.sum(1, keepdim=True).clamp_min(1e-9)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    import torch

    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=-1)
