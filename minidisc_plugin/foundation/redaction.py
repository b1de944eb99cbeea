"""Secrets (tokens, passwords, credentials in addresses) stay with the user: out of files, logs and error messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
_SECRET = re.compile(
    r"(token|password|passwd|passphrase|secret|(api|access|account|private|secret|shared|encryption)[_-]?key|key[_-]?id"
    r"|credentials?|connection[_-]?string|signature|authorization|(^|[_-])(auth|cookies?|pwd|sas|sig))$",
    re.IGNORECASE,
)
# Names of tokens of a vocabulary, which are no secrets.
_SPECIAL_TOKEN = re.compile(
    r"(^|[_-])(bos|eos|pad|unk|sep|cls|mask|sot|eot|start|end|stop|special|decoder_start)_token$", re.IGNORECASE
)
# Whatever options of a file system hold (`key` and `secret` of S3) is taken for one.
_ALL_SECRET = frozenset({"storage_options", "headers"})
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)([^/\s@?#]+)@", re.IGNORECASE)
_QUERY = re.compile(r"([?&;])([\w.-]+)=([^&;#\s'\"]+)")
_KNOWN_SHAPES = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16})\b"
)
_SHORTEST = 6
# Values of secret keys that this process has read: hosts repeat them in messages of their own.
_met: set[str] = set()


def names_secret(key: object) -> bool:
    """Whether a key of that name, the last part of a dotted one, holds a secret."""
    last = str(key).rpartition(".")[2]
    return bool(_SECRET.search(last)) and not _SPECIAL_TOKEN.search(last)


def remember(data: Any) -> None:
    """Learn the secrets of plain data, so that `masked` finds them in any text of this process."""
    _met.update(value for value in _secrets(data) if len(value) >= _SHORTEST)


def masked(text: str) -> str:
    """The text without secrets: those met before, credentials in addresses, tokens of a known shape."""
    for secret in sorted(_met, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _by_shape(text)


def without_secrets(data: Any, *, marked: bool) -> Any:
    """Plain data without its secrets.

    Args:
        data: Mappings, lists and values.
        marked: Put `***` where one was; otherwise their keys go, as they say nothing about what a run computes.
    """
    if isinstance(data, Mapping):
        secret = {key for key, value in data.items() if _is_secret(key, value)}
        kept = {key: without_secrets(value, marked=marked) for key, value in data.items() if key not in secret}
        return {key: MASK if key in secret else kept[key] for key in data if marked or key in kept}
    if isinstance(data, (list, tuple)):
        return [without_secrets(value, marked=marked) for value in data]
    return _by_shape(data) if isinstance(data, str) else data


def first_mark(data: Any, key: str = "") -> str | None:
    """The dotted key of a value that holds `***` in place of a secret; None where there is none."""
    if isinstance(data, Mapping):
        inner = [(f"{key}.{name}" if key else str(name), value) for name, value in data.items()]
    elif isinstance(data, (list, tuple)):
        inner = [(key, value) for value in data]
    else:
        return key if isinstance(data, str) and (data == MASK or f"//{MASK}@" in data or f"={MASK}" in data) else None
    return next((found for name, value in inner if (found := first_mark(value, name)) is not None), None)


def _is_secret(key: object, value: Any) -> bool:
    return (names_secret(key) or key in _ALL_SECRET) and value is not None and not isinstance(value, bool)


def _secrets(data: Any, inside: bool = False) -> list[str]:
    """Every text that stands under a key that holds secrets."""
    if isinstance(data, Mapping):
        return [found for key, value in data.items() for found in _secrets(value, inside or _is_secret(key, value))]
    if isinstance(data, (list, tuple)):
        return [found for value in data for found in _secrets(value, inside)]
    return [str(data)] if inside and isinstance(data, (str, int, float)) and not isinstance(data, bool) else []


def _by_shape(text: str) -> str:
    text = _USER.sub(_without_user, text)
    text = _QUERY.sub(lambda found: f"{found[1]}{found[2]}={MASK}" if names_secret(found[2]) else found[0], text)
    return _KNOWN_SHAPES.sub(MASK, text)


def _without_user(found: re.Match[str]) -> str:
    """`https://***@host`; `abfs://container@account` names no secret."""
    scheme, user = found[1], found[2]
    secret = ":" in user or scheme.lower().split("+")[-1] in ("http://", "https://", "ftp://")
    return f"{scheme}{MASK}@" if secret else found[0]
