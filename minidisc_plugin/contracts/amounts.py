"""Numbers of parameters, of bytes, of multiply-accumulates, and shares, as people write them: `10M`, `20MB`, `1%`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, ByteSize, Field, TypeAdapter, ValidationError

_PARAMETERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_MACS = {**_PARAMETERS, "g": 10**9, "t": 10**12}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)
_BYTES = TypeAdapter(ByteSize)


def parameters_in(amount: int | str) -> int:
    """How many parameters an amount says, such as `10M`, `0.3B` or 12000000.

    Raises:
        ValueError: it is no such amount.
    """
    return _counted(amount, _PARAMETERS, "it is no number of parameters; give one such as 10M, 0.3B or 12000000")


def macs_in(amount: int | str) -> int:
    """How many multiply-accumulates an amount says, such as `200M`, `1.5G` (or `1.5B`) or 200000000.

    Raises:
        ValueError: it is no such amount.
    """
    return _counted(amount, _MACS, "it is no number of multiply-accumulates; give one such as 200M, 1.5G or 200000000")


def bytes_in(amount: int | str) -> int:
    """How many bytes an amount says, such as `20MB` (millions), `20MiB` or 20000000.

    Raises:
        ValueError: it is no such amount.
    """
    try:
        return int(_BYTES.validate_python(amount))
    except ValidationError as error:
        raise ValueError("it is no number of bytes; give one such as 20MB, 20MiB or 20000000") from error


def share_in(amount: float | str) -> float:
    """Which share an amount says, such as 0.01 or `1%`.

    Raises:
        ValueError: it is no such amount.
    """
    if not isinstance(amount, str):
        return float(amount)
    found = _NUMBER.fullmatch(amount.strip().removesuffix("%"))
    if found is None or found[2]:
        raise ValueError("it is no share; give one such as 0.01 or 1%")
    return float(Decimal(found[1]) / (100 if amount.strip().endswith("%") else 1))


def check_loss(amount: float | str) -> float | str:
    """Refuse what is no share, or all there is.

    Raises:
        ValueError: says what to give.
    """
    if not 0 <= share_in(amount) < 1:
        raise ValueError("it is no share in [0, 1), of the metric's range; one point of accuracy is 0.01, or 1%")
    return amount


def check_parameters(amount: int | str) -> int | str:
    """Refuse what is no number of parameters, or none at all.

    Raises:
        ValueError: says what to give.
    """
    return _above_zero(amount, parameters_in(amount))


def check_macs(amount: int | str) -> int | str:
    """Refuse what is no number of multiply-accumulates, or none at all.

    Raises:
        ValueError: says what to give.
    """
    return _above_zero(amount, macs_in(amount))


def check_bytes(amount: int | str) -> int | str:
    """Refuse what is no number of bytes, or none at all.

    Raises:
        ValueError: says what to give.
    """
    return _above_zero(amount, bytes_in(amount))


def _counted(amount: int | str, units: Mapping[str, int], otherwise: str) -> int:
    found = _NUMBER.fullmatch(str(amount).strip())
    if found is None or found[2].lower() not in units:
        raise ValueError(otherwise)
    return int(Decimal(found[1]) * units[found[2].lower()])


def _above_zero(amount: int | str, count: int) -> int | str:
    if count < 1:
        raise ValueError("it is less than 1; give more")
    return amount


# A number of any kind is given as such, or as text with a unit; what was written is kept, for messages.
_Count = Annotated[int, Field(ge=1)]
Parameters = Annotated[_Count | str, AfterValidator(check_parameters)]
Macs = Annotated[_Count | str, AfterValidator(check_macs)]
Bytes = Annotated[_Count | str, AfterValidator(check_bytes)]
Loss = Annotated[float | str, AfterValidator(check_loss)]
