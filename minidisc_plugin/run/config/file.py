"""A config read from YAML or JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation import redaction
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.plain_data import PlainDataError, checked, from_json, from_yaml, read_text
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.integrations.inc_config import from_inc_config, is_inc_config


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
        text = read_text(file)
        data = from_json(text) if file.suffix.lower() == ".json" else from_yaml(text)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except PlainDataError as error:
        raise ConfigError(f"{file}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: expected keys and values, found {type(data).__name__}")
    if is_inc_config(data):
        try:
            data = from_inc_config(data)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise ConfigError(f"{file}: not an inc_config.json that can be read: {error}") from error
    for override in overrides:
        _override(data, override)
    try:
        redaction.remember(checked(data))
    except PlainDataError as error:
        raise ConfigError(f"{file}: with --set {error}") from error
    return validate(CompressionConfig, data)


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {shown(override)}: expected KEY=VALUE, such as scheduler_config.lambda=0.3")
    *parents, last = key.strip().split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {key}: {parent!r} holds no keys")
    try:
        data[last] = from_yaml(value)
    except PlainDataError as error:
        raise ConfigError(f"--set {key}: {error}") from error
