"""A layout proposed by what flows where."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from minidisc_plugin.contracts.family import Heads, Neurons
from minidisc_plugin.foundation.errors import UnsupportedModelError
from minidisc_plugin.nested.deriving.flow import Flow
from minidisc_plugin.nested.deriving.probing import probe_inputs
from minidisc_plugin.nested.deriving.reading import HeadsRead, MixedRead, NeuronsRead, what_is_read
from minidisc_plugin.nested.narrow import axes, find
from minidisc_plugin.nested.prefix import shareable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_HEAD_SIZE = re.compile(r"head.*(dim|size)|(dim|size).*head|d_kv|key_value_proj_dim")
_WIDTH = re.compile(r"dim|size|width|d_model")
_KEY_VALUE = re.compile(r"kv|key_value")


def proposals(model: PreTrainedModel) -> Iterator[tuple[str, list[Heads] | list[Neurons] | MixedRead]]:
    """Every attention and feed-forward network in the layers of a model; once where all layers have it.

    Yields:
        The path of what reads it in the first of these layers, and what it may be declared as, the likeliest first; or
        why it has no units.

    Raises:
        UnsupportedModelError: a projection reads units that no layout can express.
    """
    base = model.base_model
    names = {module: name for name, module in base.named_modules()}
    whole = {name: names[module] for name, module in model.named_modules() if module in names}
    flow = Flow(model, probe_inputs(model))
    tables = frozenset(name for name, module in model.named_modules() if isinstance(module, nn.Embedding))
    seen = set()
    for path in flow.reads:
        if path not in whole:
            continue
        pattern = _pattern(base, whole[path])
        if "*" not in pattern or pattern in seen:
            continue
        module: Any = model.get_submodule(path)
        read = what_is_read(flow, path, module.weight.shape[axes(module)[1]], tables)
        declared: list[Heads] | list[Neurons] | MixedRead | None = None
        if isinstance(read, MixedRead):
            declared = read
        elif isinstance(read, NeuronsRead):
            declared = [_neurons(base, whole, path, read)]
        elif isinstance(read, HeadsRead) and read.units > 1:
            declared = list(_heads(base, whole, path, read))
        if not isinstance(declared, list) or "*" in declared[0].at:
            seen.add(pattern)
        if declared is not None:
            yield whole[path], declared


def _pattern(base: nn.Module, path: str) -> str:
    """The path with `*` for every member of a list of layers."""
    module, found = base, []
    for name in path.split("."):
        alike = isinstance(module, nn.Sequential) and len(set(map(type, module))) == 1
        found.append("*" if alike or isinstance(module, nn.ModuleList) else name)
        module = module.get_submodule(name)
    return ".".join(found)


def _neurons(base: nn.Module, names: dict[str, str], path: str, read: NeuronsRead) -> Neurons:
    at, (output, *inputs) = _layers(base, [names[path], *(names[name] for name in read.inputs)])
    return Neurons(at=at, inputs=tuple(inputs), output=output, fused=read.fused)


def _heads(base: nn.Module, names: dict[str, str], path: str, read: HeadsRead) -> Iterator[Heads]:
    at, (output, *sources) = _layers(base, [names[name] for name in (path, *read.inputs, *read.grouped)])
    layer = find(base, at)[0]
    owner, head_size = _owner(layer, sources, read, path)
    for tied, tables in _ties(base, at, [names[name] for name in read.tables]):
        for attributes in _attributes(layer.get_submodule(owner), read, head_size):
            yield Heads(
                at=at,
                attention=owner,
                inputs=tuple(sources[: len(read.inputs)]),
                grouped=tuple(sources[len(read.inputs) :]),
                output=output,
                fused=read.fused,
                head_size=head_size,
                tied=tied,
                tables=tables,
                **attributes,
            )


def _ties(base: nn.Module, at: str, tables: Sequence[str]) -> list[tuple[bool, tuple[str, ...]]]:
    """Whether all layers keep the same heads, and the tables with a column a head; the likeliest first."""
    if not tables:
        return [(False, ()), (True, ())]  # what layers hand on to each other may have an entry a head
    depth = at.count(".") + 1
    inside = tuple(".".join(table.split(".")[depth:]) for table in tables)
    of_each = all(path and _has(layer, path) for layer in find(base, at) for path in inside)
    return [(False, inside)] if of_each else [(True, tuple(tables))]


def _layers(base: nn.Module, paths: list[str]) -> tuple[str, list[str]]:
    """Where the layers are that have all these paths, and the paths within each; the innermost layers.

    Where others beside it are built otherwise, as in a stack of convolutions and attentions, it is the layer alone.
    """
    parts = [path.split(".") for path in paths]
    common = _beginning(parts)
    ends = [end for end in range(len(common), 0, -1) if common[end - 1].isdigit()]
    for end in ends:
        at = ".".join("*" if part.isdigit() else part for part in common[:end])
        inside = [".".join(path[end:]) for path in parts]
        if all(_has(layer, path) for layer in find(base, at) for path in inside):
            return at, inside
    if not ends:
        raise UnsupportedModelError(f"{paths[0]} reads {paths[1]}, which is in no layer together with it")
    return ".".join(common[: ends[0]]), [".".join(path[ends[0] :]) for path in parts]


def _beginning(paths: Sequence[Sequence[str]]) -> list[str]:
    """The names that all paths begin with."""
    return [names[0] for names in itertools.takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))]


def _has(layer: nn.Module, path: str) -> bool:
    return any(shareable(module) for module in find(layer, path))


def _owner(layer: nn.Module, sources: list[str], read: HeadsRead, path: str) -> tuple[str, str]:
    """The module within a layer that splits projections into heads, and its attribute with the features of one."""
    parts = [source.split(".")[:-1] for source in sources]
    common = _beginning(parts)
    for end in range(len(common), -1, -1):
        owner = ".".join(common[:end])
        sizes = [
            name
            for name, value in _numbers(layer.get_submodule(owner)).items()
            if value == read.size and _HEAD_SIZE.search(name)
        ]
        if sizes:
            return owner, sizes[0]
    raise UnsupportedModelError(f"{path}: nothing beside it says that a head has {read.size} features")


def _attributes(attention: nn.Module, read: HeadsRead, head_size: str) -> list[dict[str, tuple[str, ...]]]:
    """The attributes that say how many heads there are; which of them is what may be uncertain."""
    heads = read.units * read.queries
    numbers = {
        name: value
        for name, value in _numbers(attention).items()
        if name != head_size and not name.endswith("groups")  # heads in a group: those of a unit, always
    }
    counts = [
        name for name, value in numbers.items() if value == heads and "head" in name and not _HEAD_SIZE.search(name)
    ]
    groups = []
    if read.queries > 1:
        counts = [name for name in counts if not _KEY_VALUE.search(name)]
        groups = [name for name, value in numbers.items() if value == read.units and _KEY_VALUE.search(name)]
    widths = [name for name, value in numbers.items() if value == heads * read.size and _WIDTH.search(name)]
    some = [widths, *([[]] if widths else []), *([name] for name in widths if len(widths) > 1)]
    return [{"counts": tuple(counts), "widths": tuple(chosen), "groups": tuple(groups)} for chosen in some]


def _numbers(module: nn.Module) -> dict[str, int]:
    return {name: value for name, value in vars(module).items() if type(value) is int and not name.startswith("_")}
