"""Errors of other packages, in a line."""

from __future__ import annotations

import re

from minidisc_plugin.foundation.errors import ConfigError, MinidiscError
from minidisc_plugin.foundation.storage import cache_error

_MOST = 300
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# These say what they are about only together with their name.
_BARE = (
    SystemExit,
    KeyError,
    AttributeError,
    TypeError,
    AssertionError,
    NameError,
    IndexError,
    ZeroDivisionError,
    RecursionError,
)
_COMPUTED = re.compile(r"property '(\w+)' of")
# transformers goes on to list every model type, or every converter, that it knows.
_LISTS = (" Should have a `model_type` key", "Currently available slow->fast converters")


def one_line(error: BaseException, most: int = _MOST) -> str:
    """What went wrong, without line breaks, colours and lists; cut after `most` characters."""
    text = _CONTROL.sub("", str(error))
    for end in _LISTS:
        text = text.partition(end)[0]
    text = " ".join(text.split())
    if isinstance(error, _BARE) or not text:
        text = f"{type(error).__name__}: {text}".rstrip(": ")
    return text if len(text) <= most else f"{text[:most].rstrip()} ..."


def not_loaded(where: str, error: BaseException, *, local: bool, otherwise: str = "") -> MinidiscError:
    """An error of another package as one of ours: what could not be loaded, why, and what to do about it.

    Args:
        where: What a message begins with, such as "model: 'teacher'".
        error: Of another package.
        local: Whether it is a folder, and not a name of the Hub.
        otherwise: What else would do.
    """
    refused = cache_error(error)
    if refused is not None:
        return refused
    reason = one_line(error)
    if "trust_remote_code" in str(error):
        return ConfigError(f"{where} needs code of its own; set trust_remote_code: true if you trust it")
    if isinstance(error, MemoryError) or "can't allocate memory" in reason:
        return ConfigError(
            f"{where} cannot be loaded: there is not enough memory for it; give a smaller one ({reason})"
        )
    if local and (computed := _COMPUTED.search(reason)):
        return ConfigError(f"{where}: config.json sets {computed[1]}, which is computed; remove it from the file")
    if not local:
        reason = f"there is no such folder, and on the Hub: {reason}"
    remedy = "save it again with save_pretrained" if local else "give a folder, or a name that can be reached"
    return ConfigError(f"{where} cannot be loaded: {reason.rstrip('.')}; {remedy}{otherwise}")
