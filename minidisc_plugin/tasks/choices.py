"""Choices of an example, from the forms that data sets give them in."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import shortened
from minidisc_plugin.tasks.columns import require_column, require_text

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

_SHOWN = 80


@dataclass(frozen=True)
class Choices:
    """Of one example.

    Attributes:
        texts: What may be chosen.
        names: What the example calls each of them, all different; None where it does not say.
    """

    texts: list[str]
    names: list[str] | None = None


def choices_of(split: Dataset, where: str, columns: Sequence[str]) -> list[Choices]:
    """The choices of every example, as many in each.

    Args:
        split: With the columns.
        where: Its name, for messages.
        columns: One of lists, or one for each choice.

    Raises:
        DataError: a column is missing, a row has no choices, or others than the first: in number, or without names.
    """
    for column in columns:
        require_column(split, where, "choices", column)
    if len(columns) > 1:
        for column in columns:
            require_text(split, where, column, "choices")
        found = [Choices(list(texts)) for texts in zip(*(split[column] for column in columns), strict=True)]
    else:
        place = f"column {columns[0]!r} of split {where!r}"
        found = [_choices(value, row, place) for row, value in enumerate(split[columns[0]])]
    _check_alike(found, where)
    return found


def _choices(value: Any, row: int, place: str) -> Choices:
    """A row of a column of lists.

    Raises:
        DataError: it is no list of texts, or names them in another way than one by one.
    """
    given = f"dataset.choices: row {row} (from 0) of {place} holds {shortened(repr(value), _SHOWN)}"
    texts, names = _parts(value)
    if not isinstance(texts, list) or len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        raise DataError(
            f"{given}, and no list of two texts or more; give a list (in a text as JSON; numbers in quotes), or name "
            "one column for each choice"
        )
    if names is None:
        return Choices(texts)
    listed = [] if not isinstance(names, list) or None in names else [plain_name(name) for name in names]
    if len(listed) != len(texts) or len(set(listed)) < len(listed):
        raise DataError(f"{given}, whose labels are not a name of its own for each choice; correct or remove them")
    return Choices(texts, listed)


def _parts(value: Any) -> tuple[Any, Any]:
    """Texts and names of a list of texts, of texts with names beside them, or of either as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # no JSON, or too deep for the reader
            return None, None
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        names = [each.get("label") for each in value]
        return [each.get("text") for each in value], None if set(map(repr, names)) == {"None"} else names
    return (value.get("text"), value.get("label")) if isinstance(value, dict) else (value, None)


def plain_name(name: Any) -> str:
    """A name as it is compared: without outer spaces, a whole number without its point."""
    number = whole_number(name)
    return str(name).strip() if number is None else str(number)


def whole_number(value: Any) -> int | None:
    """A value as a whole number, from text where it is one; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or "_" in str(value):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _check_alike(found: list[Choices], where: str) -> None:
    """Refuse rows whose choices are others in kind than those of the first; warn of choices that stand twice."""
    first, twice = found[0], []
    for row, choices in enumerate(found):
        if len(choices.texts) != len(first.texts):
            raise DataError(
                f"dataset.choices: row {row} (from 0) of split {where!r} has {len(choices.texts)} choices, and row 0 "
                f"has {len(first.texts)}; a batch holds as many of each example, so leave out rows of another number"
            )
        if (choices.names is None) is not (first.names is None):
            raise DataError(
                f"dataset.choices: of rows 0 and {row} (from 0) of split {where!r} one names its choices and the other "
                "does not; name them in all rows, or in none"
            )
        if len(set(choices.texts)) < len(choices.texts):
            twice.append(row)
    if twice:
        logger.warning(
            "dataset.choices: in %d of %d rows of split %r two choices are the same text, of which none can be told to "
            "be right; the first is row %d (from 0)",
            *(len(twice), len(found), where, twice[0]),
        )
