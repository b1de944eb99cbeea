"""`layer_sizes` in the config of a narrow checkpoint: how many heads and neurons every layer has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidisc_plugin.contracts.family import Family
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.fit import describe
from minidisc_plugin.nested.units import structure_of


def check_layer_sizes(config: Any, base: Any, family: Family, where: str) -> None:
    """Refuse sizes that no slice of the full model has.

    Args:
        config: Of the checkpoint.
        base: The class of transformers that is narrowed.
        family: Its family.
        where: The folder, as a message begins.

    Raises:
        ConfigError: names the entry and what it must be.
    """
    full = describe(base, config, where)
    if full is None:
        return
    structure = structure_of(full, family)
    wanted = {"heads": structure.heads, "neurons": structure.neurons}
    sizes = config.layer_sizes
    for key, places in wanted.items():
        counts = sizes.get(key) if isinstance(sizes, Mapping) else None
        most = [units.count for units in places]
        if not isinstance(counts, list) or len(counts) != len(most):
            found = f"{len(counts)} of them" if isinstance(counts, list) else repr(counts)
            raise ConfigError(
                f"{where}: layer_sizes.{key} in config.json must list a number for each of {len(most)} layers, and "
                f"is {found}; save the model again, or restore its config.json"
            )
        for place, (count, limit) in enumerate(zip(counts, most, strict=True)):
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= limit:
                raise ConfigError(
                    f"{where}: layer_sizes.{key} in config.json has {count!r} for layer {place} (from 0), where a "
                    f"whole number from 0 to {limit} is needed; save the model again, or restore its config.json"
                )
