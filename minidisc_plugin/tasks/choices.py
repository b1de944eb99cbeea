"""Choices of an example, and which of them is right, from the forms that data sets give them in."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import shortened
from minidisc_plugin.tasks.columns import require_column, require_text
from minidisc_plugin.tasks.labels import declared_names, refuse_hidden, refuse_missing

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

_SHOWN = 80


@dataclass(frozen=True)
class Choices:
    """Of one example.

    Attributes:
        texts: What may be chosen.
        names: What the example calls each of them; None where it does not say.
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
        DataError: a column is missing, a row has no choices, or another number of them than the first.
    """
    for column in columns:
        require_column(split, where, "choices", column)
    if len(columns) > 1:
        for column in columns:
            require_text(split, where, column, "choices")
        return [Choices(list(texts)) for texts in zip(*(split[column] for column in columns), strict=True)]
    found: list[Choices] = []
    for row, value in enumerate(split[columns[0]]):
        choices = _read(value)
        if choices is None:
            raise DataError(
                f"dataset.choices: row {row} (from 0) of column {columns[0]!r} of split {where!r} holds "
                f"{shortened(repr(value), _SHOWN)}, and no list of two texts or more; correct it, or name one column "
                "for each choice"
            )
        if len(choices.texts) != len((found or [choices])[0].texts):
            raise DataError(
                f"dataset.choices: row {row} (from 0) of column {columns[0]!r} of split {where!r} has "
                f"{len(choices.texts)} choices, and row 0 has {len(found[0].texts)}; a batch holds as many of each "
                "example, so leave out rows that have another number"
            )
        found.append(choices)
    return found


def _read(value: Any) -> Choices | None:
    """Choices of a list of texts, of texts with names beside them, or of either as JSON; None of anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # no JSON, or too deep for the reader
            return None
    names = None
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        value = {name: [each.get(name) for each in value] for name in ("text", "label")}
    if isinstance(value, dict):
        value, names = value.get("text"), value.get("label")
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(text, str) for text in value):
        return None
    told = isinstance(names, list) and len(names) == len(value) and None not in names
    return Choices(value, [str(name) for name in names or ()] if told else None)


@dataclass
class RightChoices:
    """Which choice of each example is right; splits of a run count alike.

    Attributes:
        first: The number of the first choice, 0 or 1, once a split has told; and that split.
    """

    first: tuple[int, str] | None = field(default=None)

    def of(self, split: Dataset, where: str, column: str, choices: Sequence[Choices]) -> list[int]:
        """Places from 0, of labels that are names of choices, letters from A, or numbers from 0 or from 1.

        Raises:
            DataError: a label is missing or hidden, names no choice, or could be two.
        """
        require_column(split, where, "label", column)
        place, labels = f"column {column!r} of split {where!r}", list(split[column])
        refuse_missing(labels, place)
        declared = declared_names(split.features[column])
        refuse_hidden(labels, place)
        if declared is not None:
            count = len(choices[0].texts)
            if len(declared) != count:
                raise DataError(
                    f"dataset.label: {place} declares {len(declared)} classes, and examples have {count} choices; give "
                    "the place of the right choice"
                )
            return [int(label) for label in labels]
        found = [_named(label, each) for label, each in zip(labels, choices, strict=True)]
        numbered = [row for row, index in enumerate(found) if index is None]
        first = self._first([self._number(labels[row], choices[row], row, place) for row in numbered], choices, where)
        for row in numbered:
            found[row] = self._number(labels[row], choices[row], row, place) - first
        return [int(index or 0) for index in found]

    def _first(self, numbers: list[int], choices: Sequence[Choices], where: str) -> int:
        """The number of the first choice in a split.

        Raises:
            DataError: its numbers may be counted from 0 or from 1, or are counted otherwise than in another split.
        """
        if not numbers:
            return 0
        count, low, high = len(choices[0].texts), min(numbers), max(numbers)
        if low == 0 and high == count:
            raise DataError(
                f"dataset.label: split {where!r} has labels from 0 to {count}, and examples {count} choices; count "
                f"from 0 to {count - 1}, or from 1 to {count}"
            )
        told = 0 if low == 0 else 1 if high == count else None
        if told is None and self.first is None:
            raise DataError(
                f"dataset.label: labels of split {where!r} are {low} to {high}, and could count {count} from 0 or "
                "from 1; give letters (A is the first), or more examples"
            )
        if told is not None and self.first is not None and told != self.first[0]:
            raise DataError(
                f"dataset.label: labels of split {where!r} count choices from {told}, and those of split "
                f"{self.first[1]!r} from {self.first[0]}; count alike"
            )
        if self.first is None:
            self.first = (int(told or 0), where)
            if told:
                logger.info("dataset.label: split %r counts choices from 1", where)
        return self.first[0]

    @staticmethod
    def _number(label: Any, choices: Choices, row: int, place: str) -> int:
        """A label that is a number, as it stands.

        Raises:
            DataError: it is none, or larger than the number of choices.
        """
        number = None if choices.names else _whole(label)
        count = len(choices.texts)
        if number is None or not 0 <= number <= count:
            known = f"one of {', '.join(choices.names)}" if choices.names else f"a number below {count}, or a letter"
            raise DataError(
                f"dataset.label: {shortened(repr(label), _SHOWN)} in row {row} (from 0) of {place} is none of the "
                f"{count} choices; give {known}"
            )
        return number


def _named(label: Any, choices: Choices) -> int | None:
    """The place of a choice that its example names so; else of a letter."""
    if choices.names is not None:
        name = str(label).strip()
        return choices.names.index(name) if choices.names.count(name) == 1 else None
    letter = label.strip().upper() if isinstance(label, str) else ""
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices.texts):
        return ord(letter) - ord("A")
    return None


def _whole(label: Any) -> int | None:
    """A label as a whole number, from text where it is one."""
    if isinstance(label, bool) or not isinstance(label, (int, float, str)) or "_" in str(label):
        return None
    try:
        number = float(label)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
