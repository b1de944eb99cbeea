"""The classes of a model, found by name first, and by index only where no name leaves a doubt."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError, DataError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

logger = logging.getLogger(__name__)

_LISTED = 25
# What numbers of a column that lost its type, and people, mean by these.
_TRUTH = {"false": 0.0, "no": 0.0, "true": 1.0, "yes": 1.0}
_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d+)?\s*$")


class Classes:
    """What a model's classes are called.

    Args:
        config: The model's.

    Attributes:
        names: In the order of their indices.
        nameless: Whether these are the names that transformers makes up.

    Raises:
        ConfigError: the config contradicts itself.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        self.names = _names(config)
        self.nameless = self.names == _made_up(len(self.names))
        self._exact = _unique(self.names)
        self._folded = _unique([_folded(name) for name in self.names])
        self._numbers = _unique([_number(name) for name in self.names])
        self._numbers.pop(None, None)

    def __str__(self) -> str:
        """How many there are, and which, in the order of their indices."""
        more = " ..." if len(self.names) > _LISTED else ""
        return f"{len(self.names)}: {', '.join(self.names[:_LISTED])}{more}"

    def named(self, name: str) -> int | None:
        """The index of the class of a name; case, outer spaces and zeros do not matter where one class is left."""
        for found in (self._exact.get(name), self._folded.get(_folded(name)), self._numbers.get(_number(name))):
            if found is not None:
                return found
        return None

    def indices(self, labels: Sequence[Any], where: str, rows: Sequence[int] | None = None) -> list[int]:
        """Classes of labels that are names, numbers that are names or, where no name is a number, indices.

        Args:
            labels: Of a column, none missing.
            where: The column and split, for messages.
            rows: The row of each label, for messages; each its own when left out.

        Raises:
            DataError: a label is no class of the model, or could be one of two.
        """
        found: dict[tuple[type, Any], int] = {}
        indices = []
        for place, label in enumerate(labels):
            key = (type(label), label if isinstance(label, (str, int, float)) else repr(label))  # True is not 1
            if key not in found:
                index = self._index(label)
                if index is None:
                    row = place if rows is None else rows[place]
                    place_of_it = f"in row {row} (from 0) of {where}"
                    raise DataError(
                        self._other_characters(label, place_of_it)
                        or f"dataset.label: {_shown(label)} {place_of_it} {self._refusal()}"
                    )
                found[key] = index
            indices.append(found[key])
        self._refuse_doubt({_number(label) for _, label in found}, where)
        return indices

    def indices_of(self, labels: Sequence[int], names: Sequence[str], where: str) -> list[int]:
        """Classes of labels that are indices themselves, of the class names that a data set declares.

        Raises:
            DataError: a class that occurs is none of the model's, or could be another.
        """
        if list(names) == [str(index) for index in range(len(names))] and not self._numbers:
            return self.indices(labels, where)  # names that say nothing
        found = {label: self.named(names[label]) for label in sorted(set(labels))}
        if self.nameless and len(names) == len(self.names) and set(found.values()) <= {None}:
            pairs = ", ".join(f"{mine} = {theirs}" for mine, theirs in zip(self.names[:_LISTED], names, strict=False))
            logger.info(
                "%s: the model's classes have no names, so the data's are taken in their order: %s", where, pairs
            )
            return list(labels)
        unknown = [names[label] for label, index in found.items() if index is None]
        if unknown:
            raise DataError(
                self._other_characters(unknown[0], f"among the classes of {where}")
                or f"dataset.label: class {unknown[0]!r} of {where}, which declares {', '.join(names[:_LISTED])}, "
                + self._refusal()
            )
        if len(set(found.values())) < len(found):
            raise DataError(
                f"dataset.label: two of the classes {', '.join(names[label] for label in found)} of {where} are one "
                f"class of the model, which has {self}; give each the name of its class"
            )
        if any(label != index for label, index in found.items()):
            logger.info("%s: its classes stand in another order than the model's; read by name", where)
        return [found[label] for label in labels]  # type: ignore[misc]

    def _index(self, label: Any) -> int | None:
        index = self.named(str(label)) if isinstance(label, (str, bool)) else None
        number = _number(label)
        if index is not None or number is None:
            return index
        if self._numbers:
            return self._numbers.get(number)
        return int(number) if number.is_integer() and 0 <= number < len(self.names) else None

    def _refuse_doubt(self, numbers: set[float | None], where: str) -> None:
        """Refuse numbers that may be indices as well as what names say: 1 for "1 star" of "1 star", "2 stars"."""
        said = [_said(name) for name in self.names]
        indices = [float(index) for index in range(len(self.names))]
        if self._numbers or said == indices or None in said or len(set(said)) < len(said):
            return
        used = {number for number in numbers if number is not None}
        if used and used <= set(said) & set(indices):
            example = min(used, key=lambda number: (said[int(number)] == number, number))
            raise DataError(
                f"dataset.label: {example:g} in {where} may be the class {self.names[said.index(example)]!r}, or the "
                f"index of {self.names[int(example)]!r}; give the names of the model's classes: it has {self}"
            )

    def _other_characters(self, label: Any, where: str) -> str | None:
        """What is wrong with a label that only looks like a class: both are shown by the codes of their characters."""
        if not isinstance(label, str):
            return None
        alike = (name for name in self.names if _looks(name) == _looks(label) and _folded(name) != _folded(label))
        name = next(alike, None)
        if name is None:
            return None
        return (
            f"dataset.label: {label!a} {where} looks like the model's class {name!a}, and is written in other "
            "characters; write it as the model does"
        )

    def _refusal(self) -> str:
        indices = "" if self._numbers else ", or indices from 0"
        return f"is not a label of the model, which has {self}; give these names{indices}"


def _names(config: PretrainedConfig) -> list[str]:
    """Names by index.

    Raises:
        ConfigError: `id2label` leaves an index out, or `label2id` says something else.
    """
    by_index = {int(index): str(name) for index, name in (config.id2label or {}).items()}
    count = int(config.num_labels)
    if sorted(by_index) != list(range(count)):
        raise ConfigError(
            f"model: id2label of its config.json has the indices {', '.join(map(str, sorted(by_index)))}, and not "
            f"0 to {count - 1}; correct it"
        )
    names = [by_index[index] for index in range(count)]
    told = {str(name): int(index) for name, index in (config.label2id or {}).items()}
    told = {name: index for name, index in told.items() if name != f"LABEL_{index}"}
    if names == _made_up(count) and sorted(told.values()) == list(range(count)):
        return sorted(told, key=told.__getitem__)
    for name, index in told.items():
        if not 0 <= index < count or names[index] != name:
            other = repr(names[index]) if 0 <= index < count else "none"
            raise ConfigError(
                f"model: label2id and id2label of its config.json disagree: {index} is {name!r} in label2id and "
                f"{other} in id2label; correct one of them"
            )
    return names


def _made_up(count: int) -> list[str]:
    return [f"LABEL_{index}" for index in range(count)]


def _unique(keys: Sequence[Any]) -> dict[Any, int]:
    """Index of every key that occurs once."""
    times = Counter(keys)
    return {key: index for index, key in enumerate(keys) if times[key] == 1}


def _folded(name: str) -> str:
    return name.strip().casefold()


def _looks(name: str) -> str:
    """A name without what cannot be seen: forms of a character, kinds of spaces, marks of no width."""
    seen = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", seen).casefold().split())


def _said(name: str) -> float | None:
    """The only number in a name, or what it means as one."""
    inside = re.findall(r"\d+", name)
    return float(inside[0]) if len(inside) == 1 else _TRUTH.get(_folded(name))


def _number(label: Any) -> float | None:
    """What a label is as a number; text is one where it is written as a plain one."""
    if isinstance(label, bool) or not isinstance(label, (int, float, str)):
        return None
    return float(label) if not isinstance(label, str) or _NUMBER.match(label) else None


def _shown(label: Any) -> str:
    return label.strip() if isinstance(label, str) and _number(label) is not None else repr(label)
