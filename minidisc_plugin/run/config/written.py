"""A config as plain data without its secrets, and as YAML that reads back to the same config."""

from __future__ import annotations

from typing import Any

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation import plain_data, redaction
from minidisc_plugin.foundation.errors import ConfigError


def to_yaml(config: CompressionConfig) -> str:
    """The config as YAML that `read_config` reads back to the same config."""
    return plain_data.to_yaml(plain(config, marked=True))


def plain(config: CompressionConfig, *, marked: bool) -> dict[str, Any]:
    """The config as plain data without its secrets; two configs that are equal in it do the same.

    Args:
        config: With or without defaults.
        marked: Whether `***` stands where a secret was; those of `training`, which change no result, go in any case.
    """
    data = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    training = redaction.without_secrets(data["training"], marked=False)
    return {**redaction.without_secrets(data, marked=marked), "training": training}


def check_whole(config: CompressionConfig) -> None:
    """Refuse a config in which `***` stands where a secret was.

    Raises:
        ConfigError: names the key.
    """
    key = redaction.first_mark(config.model_dump(mode="json", by_alias=True, exclude_none=True))
    if key is not None:
        raise ConfigError(f"{key}: {redaction.MASK!r} stands where a secret was left out; give it again")
