"""Models whose class is code that came with them: which class that is, and its files beside what is made of it.

Such code is imported by transformers, and only where the user trusts it; nothing here runs more of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PREFIX = "Narrow"  # of the names of narrow classes
_PACKAGE = "transformers_modules"


def own_class(kind: type) -> Any:
    """The class of its own code that a class is, or a narrow one is made of; None where that is one of transformers."""
    own = (one for one in kind.__mro__ if _is_own(one) and not one.__name__.startswith(PREFIX))
    return next(own, None)


def own_auto_classes(kind: Any, config: PretrainedConfig) -> list[str]:
    """Names of the Auto classes by which a config's own code resolves to a class, or to the narrow one of it.

    Raises:
        UnsupportedModelError: there are none, so nothing would load what is saved.
    """
    named = getattr(config, "auto_map", None) or {}
    found = [auto for auto, place in named.items() if place.rpartition(".")[2].removeprefix(PREFIX) == kind.__name__]
    if not found:
        raise UnsupportedModelError(f"model: auto_map in its config.json names no {kind.__name__}; add it there")
    return found


def own_config(config: PretrainedConfig) -> dict[str, str]:
    """The part of `auto_map` that says which code makes a config; empty where transformers has it."""
    kind = type(config)
    return {"AutoConfig": f"{_module(kind)}.{kind.__name__}"} if _is_own(kind) else {}


def has_own_code(folder: Path) -> bool:
    """Whether the model in a folder needs code of its own to be loaded, beside that of narrow models."""
    file = folder / "config.json"
    return file.is_file() and "AutoConfig" in (json.loads(file.read_text(encoding="utf-8")).get("auto_map") or {})


def import_of(kind: type) -> str:
    """The lines of a file beside its own that import a class."""
    # transformers 4 brings along what a file imports itself, and not what is imported from there.
    others = [Path(file).stem for file in _files(kind)[1:]]
    lines = [f"from .{name} import __name__ as _{name}" for name in others]
    return "\n".join([*lines, f"from .{_module(kind)} import {kind.__name__}"])


def copy_own_code(kind: type, config: PretrainedConfig, folder: Path) -> None:
    """Copy the files of a class, of its config, and those that they import from beside them, into a folder."""
    for one in filter(_is_own, (kind, type(config))):
        for file in _files(one):
            shutil.copyfile(file, folder / Path(file).name)


def base_in(folder: str | os.PathLike[str], auto_map: dict[str, str]) -> Any:
    """The class of its own code that the narrow model in a folder is made of; runs that code, so ask the user first."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    places = [place for auto, place in auto_map.items() if auto != "AutoConfig"]
    narrow: Any = get_class_from_dynamic_module(places[0], os.fspath(folder))
    return narrow.__bases__[0]


def _files(kind: type) -> list[str]:
    """The file of a class, and those that it imports from beside it, directly or not."""
    from transformers.dynamic_module_utils import get_relative_import_files

    file = sys.modules[kind.__module__].__file__ or ""
    return [file, *sorted(set(get_relative_import_files(file)) - {file})]


def _is_own(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == _PACKAGE


def _module(kind: type) -> str:
    return kind.__module__.rpartition(".")[2]
