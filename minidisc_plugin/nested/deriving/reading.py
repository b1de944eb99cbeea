"""What a projection reads in units of its own: the heads of an attention, or the neurons of a feed-forward network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.nested.deriving.flow import Flow

Sources = Mapping[str, Tensor]
_TRIED = 8  # features: one may be dead for all of the random inputs


@dataclass(frozen=True)
class NeuronsRead:
    """A projection whose every input feature comes from one feature, or one of each block, of what it reads."""

    inputs: tuple[str, ...]
    fused: int


@dataclass(frozen=True)
class HeadsRead:
    """A projection whose input falls into heads.

    Attributes:
        inputs: Projections with features for every query head.
        grouped: Those with features for every key-value head, where these are fewer.
        tables: Embeddings with one column a head.
        fused: Parts, one after another, in the features of `inputs`; 1 where those of a unit lie together.
        size: Features per head.
        queries: Query heads in a unit.
        units: Heads, or groups of them.
    """

    inputs: tuple[str, ...]
    grouped: tuple[str, ...]
    tables: tuple[str, ...]
    fused: int
    size: int
    queries: int
    units: int


@dataclass(frozen=True)
class MixedRead:
    """A projection that reads parts of what others give, but not as units of its own.

    Attributes:
        reason: Why not.
    """

    reason: str


def what_is_read(
    flow: Flow, path: str, width: int, tables: frozenset[str]
) -> NeuronsRead | HeadsRead | MixedRead | None:
    """The units in the input of one projection; None where it reads nothing that is there for it alone.

    Args:
        flow: Of a forward pass.
        path: The projection.
        width: Its input features.
        tables: Paths of embeddings.

    Raises:
        UnsupportedModelError: there are units, and no layout can express them; begins with the path.
    """

    @cache
    def sources(feature: int) -> Sources:
        return flow.sources(path, feature)

    feature, first = next(
        ((feature, found) for feature in range(min(width, _TRIED)) if (found := sources(feature))), (0, {})
    )
    inside = first.keys() - tables
    if not any(_is_part(first[name]) for name in inside):
        return None
    if shared := flow.read_elsewhere(path, inside):
        return MixedRead(f"{path} is not alone in reading what {shared[0]} gives")
    for name, reached in first.items():
        if not _is_part(reached):
            return MixedRead(f"every feature that {path} reads depends on all that {name} gives")
    if inside == first.keys() and all(length == 1 for found in first.values() for _, length in _runs(found)):
        if not flow.is_by_token(path, feature):  # a convolution, which has weights for every feature, too
            return MixedRead(f"what {path} reads comes from several tokens, feature by feature")
        return _neurons(path, width, feature, first)
    return _heads(path, width, sources, tables)


def _neurons(path: str, width: int, feature: int, first: Sources) -> NeuronsRead:
    fused = {len(found) // width for found in first.values()}
    for name, found in first.items():
        expected = [(block * width + feature, 1) for block in range(len(found) // width)]
        if _runs(found) != expected or len(found) % width or len(fused) > 1:
            raise UnsupportedModelError(f"{path} reads {name} in an order that no layout describes")
    return NeuronsRead(tuple(first), fused.pop())


def _heads(path: str, width: int, sources: Callable[[int], Sources], tables: frozenset[str]) -> HeadsRead:
    first = sources(0)
    whole = [name for name, found in first.items() if name not in tables and max(n for _, n in _runs(found)) > 1]
    if not whole:
        raise UnsupportedModelError(f"{path} reads heads of a single feature, which no layout describes")
    size = min(_step(width, sources, name) for name in whole)
    unit = max(_step(width, sources, name) for name in whole)
    units = width // unit
    if width % unit or unit % size:
        raise UnsupportedModelError(f"{path} reads heads of unequal widths")
    inputs, grouped, fused = [], [], set()
    for name, found in first.items():
        rows = len(found) // units
        if len(found) % units or (name in tables and (rows != 1 or unit != size)):
            raise UnsupportedModelError(f"{path} reads {name}, whose {len(found)} features are not for {units} heads")
        if name in tables:
            continue
        if rows == size < unit:
            grouped.append(name)
            continue
        inputs.append(name)
        together = int(found.nonzero().max()) < rows
        fused.add(1 if together else rows // unit)
    if len(fused) != 1 or (grouped and fused != {1}):
        raise UnsupportedModelError(f"{path} reads {', '.join(inputs)}, which are laid out in several ways")
    return HeadsRead(
        tuple(inputs),
        tuple(grouped),
        tuple(name for name in first if name in tables),
        fused.pop(),
        size,
        unit // size,
        units,
    )


def _step(width: int, sources: Callable[[int], Sources], name: str) -> int:
    """The first feature that depends on none of what feature 0 depends on, by bisection."""
    start = sources(0)[name]

    def is_apart(feature: int) -> bool:
        found = sources(feature).get(name)
        return found is None or not bool((found & start).any())

    if not is_apart(width - 1):
        return width
    low, high = 0, width - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_apart(middle) else (middle, high)
    return high


def _is_part(found: Tensor) -> bool:
    return 0 < int(found.sum()) < len(found)


def _runs(found: Tensor) -> list[tuple[int, int]]:
    """Start and length of every run of neighbours."""
    runs: list[tuple[int, int]] = []
    for index in found.nonzero().flatten().tolist():
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
