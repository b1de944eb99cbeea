"""Which features of which projections reach the input of another one, with no third projection between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minidisc_plugin.nested.deriving.probing import floats
from minidisc_plugin.nested.prefix import shareable

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Flow:
    """One forward pass, cut at every projection and embedding: what each wrote, and what each projection read.

    Attributes:
        reads: Inputs (..., features) of each projection by its path, one for each call.
        writes: Outputs (..., features) of each projection and embedding by its path, one for each call.
        end: What the model returned.
    """

    def __init__(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> None:
        self.reads: dict[str, list[Tensor]] = {}
        self.writes: dict[str, list[Tensor]] = {}
        self._random = torch.Generator().manual_seed(0)
        with self._cut(model), torch.enable_grad():
            self.end = list(floats(model(**inputs)))

    def sources(self, path: str, feature: int) -> dict[str, Tensor]:
        """By path, (features,) which features of what others wrote reach one feature that a projection reads."""
        return self._origins([read[..., feature] for read in self.reads[path]])

    def read_elsewhere(self, path: str, sources: Set[str]) -> list[str]:
        """Those of the sources of one projection that others read, or that the model returns."""
        others = [read for name, reads in self.reads.items() if name != path for read in reads]
        return [name for name in self._origins([*others, *self.end]) if name in sources]

    def is_by_token(self, path: str, feature: int) -> bool:
        """Whether a feature that a projection reads of the last token comes from that token alone."""
        read = self.reads[path][0]
        rows = read[..., feature].flatten()
        for _, gradient in self._gradients(rows[-1]):
            reached = (gradient != 0).flatten(0, -2).any(-1)
            if len(reached) != len(rows) or bool(reached[:-1].any()):
                return False
        return True

    def _origins(self, targets: list[Tensor]) -> dict[str, Tensor]:
        # Random weights, so that what cancels in a sum (a softmax, a norm) does not.
        total = sum(
            (target * torch.randn(target.shape, generator=self._random, dtype=target.dtype)).sum()
            for target in targets
            if target.requires_grad
        )
        found: dict[str, Tensor] = {}
        for path, gradient in self._gradients(total) if isinstance(total, Tensor) else ():
            reached = (gradient != 0).flatten(0, -2).any(0)
            if bool(reached.any()):
                found[path] = reached | found[path] if path in found else reached
        return found

    def _gradients(self, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Of a number, by what each of the others wrote, where it depends on that."""
        leaves = [(path, leaf) for path, written in self.writes.items() for leaf in written]
        gradients = torch.autograd.grad(target, [leaf for _, leaf in leaves], retain_graph=True, allow_unused=True)
        for (path, _), gradient in zip(leaves, gradients, strict=True):
            if gradient is not None:
                yield path, gradient

    @contextmanager
    def _cut(self, model: PreTrainedModel) -> Iterator[None]:
        handles = []
        for path, module in model.named_modules():
            if shareable(module):
                handles.append(module.register_forward_hook(self._write(path)))
                if not isinstance(module, nn.Embedding):
                    handles.append(module.register_forward_pre_hook(self._read(path), with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _read(self, path: str) -> Any:
        def before(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            (features,) = (*given, *named.values())
            self.reads.setdefault(path, []).append(features)
            cut = features.detach()
            return ((cut,), {}) if given else ((), dict.fromkeys(named, cut))

        return before

    def _write(self, path: str) -> Any:
        def after(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            leaf = output.detach().requires_grad_()
            self.writes.setdefault(path, []).append(leaf)
            return leaf.clone()  # which layers may change in place

        return after
