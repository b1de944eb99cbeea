"""A family as the Python code of a plug-in that declares it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from minidisc_plugin.contracts.family import Family

_MODULE = """\
from minidisc_plugin import hookimpl
from minidisc_plugin.contracts.family import Family, Heads, Layout, Neurons

FAMILY = {family}


@hookimpl
def minidisc_register_families():
    return [FAMILY]
"""


def declaration(family: Family) -> str:
    """A module that declares a family to this package, ready to be a plug-in."""
    return _MODULE.format(family="".join(_code(family, "")))


def _code(value: Any, indent: str) -> Iterator[str]:
    """The expression that makes a value, over several lines; settings that are the default's are left out."""
    inner = f"{indent}    "
    if is_dataclass(value):
        yield f"{type(value).__name__}(\n"
        for field in fields(value):
            held = getattr(value, field.name)
            if field.name == "derived" or (field.default is not MISSING and held == field.default):
                continue
            yield f"{inner}{field.name}="
            yield from _code(held, inner)
            yield ",\n"
        yield f"{indent})"
    elif isinstance(value, tuple) and any(map(is_dataclass, value)):
        yield "(\n"
        for one in value:
            yield inner
            yield from _code(one, inner)
            yield ",\n"
        yield f"{indent})"
    else:
        yield repr(value).replace("'", '"')
