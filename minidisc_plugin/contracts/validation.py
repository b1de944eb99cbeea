"""Plain data as settings, with errors that name the key, the value and the remedy in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from minidisc_plugin.foundation import redaction
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import shortened, shown

Model = TypeVar("Model", bound=BaseModel)
_LISTED = 25


def validate(model: type[Model], data: Mapping[str, Any], prefix: str = "") -> Model:
    """Build `model` from plain data, with errors that name the key, the value and the remedy in one line.

    Raises:
        ConfigError: a key is unknown (names the nearest known one) or a value has the wrong type or range.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        problems = _problems(model, data, error, prefix)
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise ConfigError("; ".join(problems[:_LISTED]) + more) from None


def unknown_key(key: str, known: Sequence[str]) -> str:
    """One line for a key that is not known, with the nearest that is."""
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    listed = ", ".join(sorted(known)) if len(known) <= _LISTED else f"{len(known)}, see the documentation"
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {listed}"
    return f"{shortened(key)}: unknown key; {hint}"


def settings_of(model: type[BaseModel]) -> list[str]:
    """Keys of a section, as a config spells them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _problems(model: type[BaseModel], data: Mapping[str, Any], error: ValidationError, prefix: str) -> list[str]:
    """One sentence for each key that cannot be used; of a key with several types, all that it may have."""
    grouped: dict[tuple[str | int, ...], list[Any]] = {}
    for problem in error.errors():
        grouped.setdefault(_location(data, problem), []).append(problem)
    # Of a union every branch complains; a key inside of one tells more than the key that holds it.
    outer = {location[:size] for location in grouped for size in range(1, len(location))}
    return [
        _explain(model, problems, location, prefix) for location, problems in grouped.items() if location not in outer
    ]


def _location(data: Any, problem: Any) -> tuple[str | int, ...]:
    """Keys down to a problem, without the names that pydantic gives to branches of a union and to validators."""
    location: list[str | int] = []
    last = len(problem["loc"]) - 1
    for place, part in enumerate(problem["loc"]):
        missing = place == last and problem["type"] == "missing"
        held = (
            part in data if isinstance(data, Mapping) else isinstance(data, (list, tuple)) and part in range(len(data))
        )
        if held:
            data = data[part]
        if held or missing:
            location.append(part)
    return tuple(location)


def _explain(model: type[BaseModel], problems: Sequence[Any], location: tuple[str | int, ...], prefix: str) -> str:
    key = prefix + ".".join(str(part) for part in location)
    problem = problems[0]
    if problem["type"] == "extra_forbidden":
        return unknown_key(key, _keys(model, location[:-1]))
    if problem["type"] == "missing":
        return f"{key}: missing; add it"
    messages = [_in_words(str(found["msg"])) for found in problems]
    if not key:
        return messages[0]
    message = ", or ".join(f"{found[0].lower()}{found[1:]}" for found in messages)
    value = redaction.MASK if any(map(redaction.names_secret, location)) else shown(problem["input"])
    return f"{key}: {value} cannot be used: {message}"


def _in_words(message: str) -> str:
    """What pydantic says, without its own names and Python's."""
    message = message.removeprefix("Value error, ").partition(" or instance of ")[0]
    return re.sub("tuple", "list", message, flags=re.IGNORECASE).removesuffix(" after validation, not 0")


def _keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Keys of the section at `location`."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            return []
        kinds = [field.annotation, *get_args(field.annotation)]
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return settings_of(model)
