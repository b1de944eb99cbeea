"""Which choice of an example is right, from what data sets write: a name, a letter, a number, a declared class."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.printable import shortened
from minidisc_plugin.tasks.choices import Choices, plain_name, whole_number
from minidisc_plugin.tasks.columns import require_column
from minidisc_plugin.tasks.labels import declared_names, refuse_hidden, refuse_missing, refuse_undeclared

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

_SHOWN = 80


class RightChoices:
    """Reads the labels of a run's splits, whose numbers count alike."""

    def __init__(self) -> None:
        self._first: tuple[int, str] | None = None  # the number of the first choice, and the split that told

    def of(self, split: Dataset, where: str, column: str, choices: Sequence[Choices]) -> list[int]:
        """Places of the right choices, from 0.

        Args:
            split: With the labels.
            where: Its name, for messages.
            column: Of the labels.
            choices: Of every example.

        Raises:
            DataError: a label is missing or hidden, names no choice, or could be two.
        """
        require_column(split, where, "label", column)
        place, labels = f"column {column!r} of split {where!r}", list(split[column])
        refuse_missing(labels, place)
        declared, count = declared_names(split.features[column]), len(choices[0].texts)
        if declared is None:
            refuse_hidden(labels, place)
        else:
            refuse_undeclared(labels, declared, place)
            if choices[0].names is None and not _say_places(declared, count):
                return _indices(labels, declared, count, place)
            labels = [declared[label] for label in labels]
        found = [_named(label, each) for label, each in zip(labels, choices, strict=True)]
        rows = [row for row, index in enumerate(found) if index is None]
        numbers = {row: _number(labels[row], choices[row], row, place) for row in rows}
        if numbers:
            classes = [number for number in map(whole_number, declared or ()) if number is not None]
            first = self._counted_from([*numbers.values(), *classes], count, where)
            for row, number in numbers.items():
                found[row] = number - first
        places = [int(index or 0) for index in found]
        if declared is None and choices[0].names is None:
            _refuse_texts(labels, choices, places, place)
        return places

    def _counted_from(self, numbers: list[int], count: int, where: str) -> int:
        """The number of the first choice in a split.

        Raises:
            DataError: its numbers may be counted from 0 or from 1, or are counted otherwise than in another split.
        """
        low, high = min(numbers), max(numbers)
        if low == 0 and high == count:
            raise DataError(
                f"dataset.label: split {where!r} has labels from 0 to {count}, and examples {count} choices; count "
                f"from 0 to {count - 1}, or from 1 to {count}"
            )
        told = 0 if low == 0 else 1 if high == count else None
        if told is None and self._first is None:
            raise DataError(
                f"dataset.label: labels of split {where!r} are {low} to {high}, and could count {count} from 0 or "
                "from 1; give letters (A is the first), or more examples"
            )
        if told is not None and self._first is not None and told != self._first[0]:
            raise DataError(
                f"dataset.label: labels of split {where!r} count choices from {told}, and those of split "
                f"{self._first[1]!r} from {self._first[0]}; count alike"
            )
        if self._first is None:
            self._first = (int(told or 0), where)
            if told:
                logger.info("dataset.label: split %r counts choices from 1", where)
        return self._first[0]


def _say_places(declared: Sequence[str], count: int) -> bool:
    """Whether declared classes are letters, or numbers, of the choices."""
    letters = [_letter(name, count) for name in declared]
    numbers = [whole_number(name) for name in declared]
    return None not in letters or all(number is not None and 0 <= number <= count for number in numbers)


def _indices(labels: list[int], declared: Sequence[str], count: int, place: str) -> list[int]:
    """Declared classes whose names say nothing of places, as "ending0" and others, in their order.

    Raises:
        DataError: there are not as many as choices.
    """
    if len(declared) != count:
        raise DataError(
            f"dataset.label: {place} declares {len(declared)} classes, and examples have {count} choices; give the "
            "place of the right choice"
        )
    logger.info("%s: its classes are taken for choices in their order: %s", place, ", ".join(declared))
    return labels


def _named(label: Any, choices: Choices) -> int | None:
    """The place of a choice that its example names so; else of a letter."""
    if choices.names is None:
        return _letter(label, len(choices.texts))
    for fold in (str, str.casefold):
        names, name = [fold(each) for each in choices.names], fold(plain_name(label))
        if names.count(name) == 1:
            return names.index(name)
    return None


def _letter(label: Any, count: int) -> int | None:
    letter = label.strip().upper() if isinstance(label, str) else ""
    place = ord(letter) - ord("A") if len(letter) == 1 else -1
    return place if 0 <= place < count else None


def _number(label: Any, choices: Choices, row: int, place: str) -> int:
    """A label that is a number, as it stands.

    Raises:
        DataError: it is none, or larger than the number of choices.
    """
    number = None if choices.names else whole_number(label)
    count = len(choices.texts)
    if number is None or not 0 <= number <= count:
        known = f"one of {', '.join(choices.names)}" if choices.names else f"a number below {count}, or a letter"
        raise DataError(
            f"dataset.label: {shortened(repr(label), _SHOWN)} in row {row} (from 0) of {place} is none of the {count} "
            f"choices; give {known}"
        )
    return number


def _refuse_texts(labels: Sequence[Any], choices: Sequence[Choices], places: Sequence[int], place: str) -> None:
    """Refuse labels that are all texts of choices, and are read as the places of others."""
    texts = [[text.strip() for text in each.texts] for each in choices]
    if not all(isinstance(label, str) and label.strip() in mine for label, mine in zip(labels, texts, strict=True)):
        return
    for row, (label, mine, index) in enumerate(zip(labels, texts, places, strict=True)):
        if mine[index] != label.strip():
            raise DataError(
                f"dataset.label: {label!r} in row {row} (from 0) of {place} may be the choice that says so, or the "
                f"place of {mine[index]!r}, and so may all others; give choices names (text and label), and these here"
            )
