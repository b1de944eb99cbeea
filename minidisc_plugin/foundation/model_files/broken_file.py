"""What is wrong with a file that should hold weights, a config or a vocabulary, judged by its first bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import ConfigError

_POINTER = b"version https://git-lfs.github.com/spec/"
_HEAD = 512
_LONGEST_INTEGER = 40


def refuse_broken(file: Path, where: str) -> None:
    """Refuse a file that holds nothing of what its name promises: one that was not fetched, is empty or all zeros.

    Args:
        file: In a folder of a model.
        where: That folder, as a message begins.

    Raises:
        ConfigError: says what the file is instead, and how to get the real one.
    """
    if file.is_symlink() and not file.exists():
        raise ConfigError(f"{where}: {file.name} is a link to a file that is not there; fetch the model again")
    if file.is_dir():
        raise ConfigError(f"{where}: {file.name} is a folder, where a file is needed; save the model again")
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError as error:
        raise ConfigError(
            f"{where}: {file.name} cannot be read: {error.strerror or error}; make it readable"
        ) from error
    if head.startswith(_POINTER):
        raise ConfigError(
            f"{where}: {file.name} is a Git LFS pointer, not the file itself; run `git lfs pull` in the folder, or "
            "fetch the model with `hf download`"
        )
    if not head:
        raise ConfigError(f"{where}: {file.name} is empty; fetch or save the model again")
    if not head.strip(b"\0"):
        raise ConfigError(f"{where}: {file.name} is filled with zeros; fetch or save the model again")
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise ConfigError(f"{where}: {file.name} is a web page, not the file itself; fetch the model again")


def read_json(file: Path, where: str) -> dict[str, Any]:
    """The object that a JSON file of a model's folder holds.

    Raises:
        ConfigError: it is broken, is no JSON, or holds something else than an object.
    """
    found: dict[str, Any] = _read(file, where, dict, "an object {...}")
    return found


def read_json_list(file: Path, where: str) -> list[Any]:
    """The list that a JSON file of a model's folder holds.

    Raises:
        ConfigError: see read_json.
    """
    found: list[Any] = _read(file, where, list, "a list [...]")
    return found


def _read(file: Path, where: str, kind: type, needed: str) -> Any:
    refuse_broken(file, where)
    try:
        found = json.loads(file.read_text(encoding="utf-8"), parse_int=_integer)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{where}: {file.name}: not valid JSON: {reason}; fetch or save the model again") from error
    if not isinstance(found, kind):
        raise ConfigError(
            f"{where}: {file.name} holds {'null' if found is None else f'a {type(found).__name__}'}, "
            f"where {needed} is needed; fetch or save the model again"
        )
    return found


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)
