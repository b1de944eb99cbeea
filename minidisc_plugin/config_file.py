"""Configs in and out: YAML or JSON to a checked `CompressionConfig`, and the resolved config back to YAML."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from minidisc_plugin.config import CompressionConfig
from minidisc_plugin.errors import ConfigError
from minidisc_plugin.inc_config import from_inc_config, is_inc_config
from minidisc_plugin.values import shown

Model = TypeVar("Model", bound=BaseModel)
_LISTED = 25
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """PyYAML reads `1e-4` as a string, being of YAML 1.1; here it is a number, as in JSON and in Python."""


class _Dumper(yaml.SafeDumper):
    """Quotes a string that `_Loader` would take for a number."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def read_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> CompressionConfig:
    """Read and check a config.

    Args:
        path: A `.yaml`, `.yml` or `.json` file; an `inc_config.json` of Optimum Intel may hold any of our keys as well.
        overrides: `key=value` strings; a key may be dotted, a value is read as YAML.

    Raises:
        ConfigError: the file is missing or malformed, or a key or value cannot be used; one line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not a text file in UTF-8: {error.reason}") from error
    try:
        data = json.loads(text) if file.suffix == ".json" else _load_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{file}: not valid {file.suffix.lstrip('.') or 'YAML'}: {_flat(error)}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: expected keys and values, found {type(data).__name__}")
    if is_inc_config(data):
        data = from_inc_config(data)
    for override in overrides:
        _override(data, override)
    return validate(CompressionConfig, data)


def validate(model: type[Model], data: Mapping[str, Any], prefix: str = "") -> Model:
    """Build `model` from plain data, with errors that name the key, the value and the remedy in one line.

    Raises:
        ConfigError: a key is unknown (names the nearest known one) or a value has the wrong type or range.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError("; ".join(_problems(model, data, error, prefix))) from None


def unknown_key(key: str, known: Sequence[str]) -> str:
    """One line for a key that is not known, with the nearest that is."""
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    listed = ", ".join(sorted(known)) if len(known) <= _LISTED else f"{len(known)}, see the documentation"
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {listed}"
    return f"{key}: unknown key; {hint}"


def settings_of(model: type[BaseModel]) -> list[str]:
    """Keys of a section, as a config spells them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def to_yaml(config: CompressionConfig) -> str:
    """The config as YAML that `read_config` reads back to the same config."""
    data = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: expected KEY=VALUE, such as scheduler_config.lambda=0.3")
    *parents, last = key.strip().split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} holds no keys")
    try:
        data[last] = _load_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: {_flat(error)}") from error


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
    return f"{key}: {shown(problem['input'])} cannot be used: {message}"


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


def _load_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


def _flat(error: Exception) -> str:
    return " ".join(str(error).split())
