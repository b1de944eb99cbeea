"""Choose the best teacher assistant in one trial and distil a small transformer through it.

The names below are the public interface; each is imported when first used, so `import minidisc_plugin` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.former_names import keep_former_names

if TYPE_CHECKING:
    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.hookspecs import hookimpl
    from minidisc_plugin.foundation.errors import MinidiscError
    from minidisc_plugin.public import NestedModel, load, sparsity_within
    from minidisc_plugin.run.pipeline import compress
    from minidisc_plugin.run.script import schedules, smallest_good_enough
    from minidisc_plugin.schedulers.minidisc import MiniDisc
    from minidisc_plugin.selection import tradeoff

keep_former_names()

_HOMES = {
    "CompressionConfig": "minidisc_plugin.contracts.config",
    "MiniDisc": "minidisc_plugin.schedulers.minidisc",
    "MinidiscError": "minidisc_plugin.foundation.errors",
    "NestedModel": "minidisc_plugin.public",
    "compress": "minidisc_plugin.run.pipeline",
    "hookimpl": "minidisc_plugin.contracts.hookspecs",
    "load": "minidisc_plugin.public",
    "schedules": "minidisc_plugin.run.script",
    "smallest_good_enough": "minidisc_plugin.run.script",
    "sparsity_within": "minidisc_plugin.public",
    "tradeoff": "minidisc_plugin.selection",
}

__all__ = [
    "CompressionConfig",
    "MiniDisc",
    "MinidiscError",
    "NestedModel",
    "compress",
    "hookimpl",
    "load",
    "schedules",
    "smallest_good_enough",
    "sparsity_within",
    "tradeoff",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
