"""Schedulers from what a config of Neural Compressor says; their own fields say what there is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.plugins import pick
from minidisc_plugin.plugins.schedulers import make_schedulers

SPARSITY = "target_sparsity"


def sparsities_of(given: Any) -> list[float]:
    """Those of a list, or the one, the largest first.

    Raises:
        ConfigError: there is none, one that is not in (0, 1), or one twice.
    """
    values = list(given) if isinstance(given, (list, tuple)) else [given]
    if not values:
        raise ConfigError(f"{SPARSITY}: is empty; give at least one in (0, 1), such as 0.9")
    for place, value in enumerate(values):
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1:
            raise ConfigError(f"{SPARSITY}: {shown(value)} is not in (0, 1); give the share to remove, such as 0.9")
        if value in values[:place]:
            raise ConfigError(f"{SPARSITY}: {value:g} is given twice; remove one")
    return sorted(values, reverse=True)


def normal(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a scheduler under the keys that a compression config has for them.

    Raises:
        ConfigError: there is no such scheduler, or a setting twice.
    """
    fields = pick("scheduler", name, "scheduler").item.model_fields
    found: dict[str, Any] = {}
    for key, value in settings.items():
        alias = getattr(fields.get(key), "alias", None) or key
        if alias in found:
            raise ConfigError(f"{key}: given twice, under the name {alias!r} too; remove one")
        found[alias] = value
    return found


def schedulers_for(name: str, settings: Mapping[str, Any], sparsities: Sequence[float]) -> dict[float, Scheduler]:
    """The schedulers of a name, one for each student; of the candidates each has those that are larger than it.

    Args:
        name: As `scheduler:` of a compression config.
        settings: Their settings.
        sparsities: Of the students, the largest first.

    Raises:
        ConfigError: it is not installed, or a setting is unknown or cannot be used.
    """
    try:
        made = make_schedulers(name, settings, sparsities)
    except ConfigError as error:
        raise ConfigError(str(error).replace("scheduler_config.", "")) from None
    return {scheduler.target_sparsity: scheduler for scheduler in reversed(made)}


def explained(kind: type[Scheduler]) -> str:
    """The settings of a scheduler, one a paragraph, for a docstring."""
    lines = [
        textwrap.fill(
            f"{field.alias or name} (default {field.default!r}): {field.description}",
            100,
            initial_indent=" " * 8,
            subsequent_indent=" " * 12,
        )
        for name, field in kind.model_fields.items()
        if name != SPARSITY
    ]
    return f"\n    Settings of the scheduler {kind.name}:\n" + "\n".join(lines) + "\n"
