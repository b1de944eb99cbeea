"""What a value of a config may be: of its very type, finite, of a sane size; text that says something; paths."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from minidisc_plugin.foundation.printable import shown

# Beyond these are values that no setting means, and that libraries refuse later and in worse words.
LARGEST_INTEGER = 2**32 - 1
LARGEST_NUMBER = 10**12
LONGEST_TEXT = 4096
_DIGITS = 6  # of scales
_LONGEST_NAME = 255  # bytes of a file's name, on every file system in use
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")  # pathlib makes one slash of two
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")

Items = TypeVar("Items", bound=Sequence[Any])
Guide = Literal["assistant", "teacher", "both"]
"""What a student follows once there is an assistant."""


class Settings(BaseModel):
    """Keys and values as a user writes them: no unknown key, no value of another type, nothing absurd."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, validate_default=True, strict=True, allow_inf_nan=False
    )

    @field_validator("*")
    @classmethod
    def _sane(cls, value: Any) -> Any:
        check_sane(value)
        return value


def check_sane(value: object) -> None:
    """Refuse a number that is absurdly large, and text that is empty or that nothing can hold; in lists, too.

    Raises:
        ValueError: says what is wrong.
    """
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_sane(item)
    elif isinstance(value, (int, float)):
        largest = LARGEST_INTEGER if isinstance(value, int) else LARGEST_NUMBER
        if abs(value) > largest:
            raise ValueError(f"it is beyond {largest:,}")


def check_options(options: dict[str, Any]) -> dict[str, Any]:
    """Keys and values of which nothing but that is known: each value is sane, and each number finite.

    Raises:
        ValueError: names the key.
    """
    for key, value in options.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            try:
                if isinstance(item, float) and not math.isfinite(item):
                    raise ValueError("it is not finite")
                check_options(item) if isinstance(item, dict) else check_sane(item)
            except ValueError as error:
                raise ValueError(f"of {key!r}: {error}") from error
    return options


def check_sparsity(value: float) -> float:
    """Refuse a share so near to 0 or 1 that no scale is left for the student, or none between it and the teacher.

    Raises:
        ValueError: says between which it has to be.
    """
    least, most = 2 / 10**_DIGITS, 1 - 1 / 10**_DIGITS
    if not least <= round(value, _DIGITS) <= most:
        raise ValueError(
            f"scales are rounded to {_DIGITS} digits, which leaves none for the student, or for a candidate above it; "
            f"give a number from {least:f} to {most:f}"
        )
    return value


def check_text(value: str) -> str:
    """Refuse text that is empty, or that no file can hold.

    Raises:
        ValueError: says what is wrong.
    """
    if not value.strip():
        raise ValueError("it is empty; give a text, or remove the key")
    if "\0" in value:
        raise ValueError("it holds a NUL character; remove it")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"it is longer than {LONGEST_TEXT} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character (a lone surrogate); remove it") from error
    return value


def check_path(value: str) -> str:
    """A path with its `~` expanded, here and nowhere else; the name of something on a Hub is left as it is.

    Raises:
        ValueError: says what is wrong.
    """
    check_text(value)
    if value.startswith("~"):
        value, written = os.path.expanduser(value), value
        if value == written:
            raise ValueError(f"there is no user {written.partition('/')[0][1:]!r} here; write the path itself")
    if any(len(name.encode()) > _LONGEST_NAME for name in value.split("/")):
        raise ValueError(f"a name in it is longer than {_LONGEST_NAME} bytes, which no file system takes")
    variable = _VARIABLE.search(value)
    if variable and not os.path.lexists(value):
        raise ValueError(f"{variable[0]} is not expanded; write the path itself")
    return value


def check_local(value: str) -> str:
    """The path of a folder that is written to.

    Raises:
        ValueError: it is an address, which would become folders of these names.
    """
    if _ADDRESS.match(value):
        raise ValueError("it is an address, and files are written to a local folder; give one")
    return check_path(value)


def check_output(value: str) -> str:
    """The path of a folder that a run has for itself.

    Raises:
        ValueError: it is an address, the working directory, one above it, or the root.
    """
    value = check_local(value)
    if set(os.path.normpath(value).split("/")) <= {"", ".", ".."}:
        raise ValueError("a run needs a folder of its own; give one, such as runs/first")
    return value


def check_distinct(items: Items) -> Items:
    """Refuse a list that names something twice.

    Raises:
        ValueError: names it.
    """
    for place, item in enumerate(items):
        if item in items[:place]:
            raise ValueError(f"{shown(item)} is given twice; remove one")
    return items


def check_apart(sparsities: Items) -> Items:
    """Refuse sparsities that are the same to six digits: of a student each, which that many digits name.

    Raises:
        ValueError: names the second.
    """
    check_distinct([f"{sparsity:g}" for sparsity in sparsities])
    return sparsities


PathText = Annotated[str, AfterValidator(check_path)]
Options = Annotated[dict[str, Any], AfterValidator(check_options)]
LocalFolder = Annotated[str, AfterValidator(check_local)]
OutputPath = Annotated[str, AfterValidator(check_output)]
Sparsity = Annotated[float, Field(gt=0, lt=1), AfterValidator(check_sparsity)]
Sparsities = Annotated[list[Sparsity], Field(min_length=1), AfterValidator(check_apart)]
Distinct = AfterValidator(check_distinct)
# YAML and JSON know lists only; what a tuple holds is read as strictly as everything else.
FromList = Field(strict=False)
Positive = Annotated[float, Field(gt=0)]
