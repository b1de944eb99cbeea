"""Choose the best teacher assistant in one trial and distil a small transformer through it.

The names below are the public interface; each is imported when first used, so `import minidisc_plugin` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidisc_plugin.config import CompressionConfig
    from minidisc_plugin.errors import MinidiscError
    from minidisc_plugin.hookspecs import hookimpl
    from minidisc_plugin.nested.checkpoint import load
    from minidisc_plugin.nested.model import NestedModel
    from minidisc_plugin.pipeline import compress
    from minidisc_plugin.schedulers.minidisc import MiniDisc
    from minidisc_plugin.selection import tradeoff

_HOMES = {
    "CompressionConfig": "minidisc_plugin.config",
    "MiniDisc": "minidisc_plugin.schedulers.minidisc",
    "MinidiscError": "minidisc_plugin.errors",
    "NestedModel": "minidisc_plugin.nested.model",
    "compress": "minidisc_plugin.pipeline",
    "hookimpl": "minidisc_plugin.hookspecs",
    "load": "minidisc_plugin.nested.checkpoint",
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
    "tradeoff",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
