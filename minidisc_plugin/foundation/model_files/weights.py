"""Names, shapes and types of the tensors in a folder's weight files, read without the tensors themselves."""

from __future__ import annotations

import math
import os
import pickle
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.broken_file import read_json, refuse_broken
from minidisc_plugin.foundation.model_files.explain import one_line
from minidisc_plugin.foundation.printable import shown

# In the order in which transformers looks for them; an index stands for the shards that it names.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_HALF = ("float16", "bfloat16")
_FLOATING = ("float64", "float32", *_HALF)
_FORMATS = ("pt", "mlx")  # of safetensors: what transformers reads without another library
_SAFETENSORS_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Weight:
    """One tensor of a file.

    Attributes:
        shape: Of the tensor.
        dtype: As torch calls it, such as "float32"; as the file does, where torch has no such floating type.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def weight_file(folder: Path) -> Path | None:
    """The file, or the index of shards, from which transformers would load; None where there is none."""
    return next((folder / name for name in WEIGHT_FILES if os.path.lexists(folder / name)), None)


def read_weights(file: Path, where: str) -> dict[str, Weight]:
    """What a weight file holds, or all shards of an index, by name.

    Args:
        file: As `weight_file` finds it.
        where: Its folder, as a message begins.

    Raises:
        ConfigError: a file is missing, cut, or is none of weights.
    """
    if file.name.endswith(".index.json"):
        return _read_shards(file, where)
    return _read_file(file, where)


def saved_type(weights: Mapping[str, Weight]) -> str:
    """The floating type of most numbers of a model, as torch calls it."""
    counts = dict.fromkeys(_FLOATING, 0)
    for weight in weights.values():
        if weight.dtype in counts:
            counts[weight.dtype] += weight.size
    return max(counts, key=counts.__getitem__)


def _read_shards(index: Path, where: str) -> dict[str, Weight]:
    listed = read_json(index, where).get("weight_map")
    places = {name: shard for name, shard in listed.items() if _is_name(shard)} if isinstance(listed, dict) else {}
    if not places or len(places) != len(listed or ()):
        raise ConfigError(
            f"{where}: {index.name} has no usable `weight_map`, from each tensor to the shard beside it; "
            "fetch or save the model again"
        )
    found: dict[str, Weight] = {}
    for shard in sorted(set(places.values())):
        file = index.parent / shard
        if not os.path.lexists(file):
            raise ConfigError(
                f"{where}: {shard} is missing, and {index.name} names it; fetch that shard, or save the model again"
            )
        held = _read_file(file, where)
        expected = {name for name, place in places.items() if place == shard}
        if stray := sorted(expected ^ set(held)):
            raise ConfigError(
                f"{where}: {index.name} and {shard} do not belong together ({stray[0]} is in one of them only); "
                "fetch or save the model again"
            )
        found |= held
    return found


def _is_name(shard: Any) -> bool:
    """Whether it names a file beside the index."""
    return isinstance(shard, str) and Path(shard).name == shard


def _read_file(file: Path, where: str) -> dict[str, Weight]:
    refuse_broken(file, where)
    found = _read_safetensors(file, where) if file.suffix == ".safetensors" else _read_pickle(file, where)
    if not found:
        raise ConfigError(f"{where}: {file.name} holds no tensor; fetch or save the model again")
    return found


def _read_safetensors(file: Path, where: str) -> dict[str, Weight]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            if (made_for := (opened.metadata() or {}).get("format", "pt")) not in _FORMATS:
                raise ConfigError(
                    f"{where}: {file.name} holds weights of the format {shown(made_for)}; give the model in torch's "
                    "format, saved with save_pretrained"
                )
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
            return {
                name: Weight(tuple(part.get_shape()), _SAFETENSORS_TYPES.get(part.get_dtype(), part.get_dtype()))
                for name, part in slices.items()
            }
    except SafetensorError as error:
        raise ConfigError(
            f"{where}: {file.name} is cut or damaged ({one_line(error, most=120)}); fetch or save the model again"
        ) from error


def _read_pickle(file: Path, where: str) -> dict[str, Weight]:
    import torch

    held: Any
    try:
        with warnings.catch_warnings(action="ignore"):
            held = torch.load(file, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{where}: {file.name} is no file of weights alone, and nothing else is read from a pickle; load it where "
            "you trust it, and save the model with save_pretrained"
        ) from error
    except Exception as error:  # a cut archive fails in many ways
        raise ConfigError(
            f"{where}: {file.name} is cut or damaged ({one_line(error, most=120)}); fetch or save the model again"
        ) from error
    if not isinstance(held, Mapping) or not all(isinstance(value, torch.Tensor) for value in held.values()):
        raise ConfigError(
            f"{where}: {file.name} holds {_contents(held)}, not a model's tensors by name; load the weights into the "
            "model, and save it with save_pretrained"
        )
    return {name: Weight(tuple(value.shape), _torch_type(value.dtype)) for name, value in held.items()}


def _torch_type(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _contents(held: Any) -> str:
    """What a pickle holds, in a few words."""
    if isinstance(held, Mapping):
        return f"a mapping with {_some(map(str, held))}"
    return f"a {type(held).__name__}"


def _some(names: Iterable[str], most: int = 3) -> str:
    listed = [name[:40] for name in names]
    return ", ".join(listed[:most]) + (" ..." if len(listed) > most else "")
