"""Numbers of CSV files in the form of other countries, each by itself: pandas decides for thousands of rows at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from minidisc_plugin.foundation.errors import DataError


def number_reader(options: Mapping[str, Any]) -> Callable[[str], str]:
    """A function that writes a number as Python does, and leaves other cells as they stand.

    Args:
        options: Those of pandas' reader; `decimal` and `thousands` count.
    """
    return partial(_rewritten, decimal=options.get("decimal") or ".", thousands=options.get("thousands") or "")


def _rewritten(cell: str, decimal: str, thousands: str) -> str:
    """The number.

    Raises:
        DataError: it is one in this form and another one in Python's.
    """
    digits = r"[0-9]+" if not thousands else rf"[0-9]+(?:{re.escape(thousands)}[0-9]+)*"
    form = rf"\s*[+-]?(?:{digits}(?:{re.escape(decimal)}[0-9]*)?|{re.escape(decimal)}[0-9]+)(?:[eE][+-]?[0-9]+)?\s*"
    if re.fullmatch(form, cell):
        return (cell.replace(thousands, "") if thousands else cell).replace(decimal, ".")
    if _is_number(cell):
        raise DataError(
            f"dataset.label: {cell!r} has a point, which is neither dataset.options.decimal nor thousands; set these "
            "as the file has them"
        )
    return cell


def _is_number(cell: str) -> bool:
    try:
        return "." in cell and math.isfinite(float(cell))
    except ValueError:
        return False
