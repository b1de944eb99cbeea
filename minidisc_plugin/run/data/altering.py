"""Altered copies of training texts: words left out, swapped with neighbours, replaced by words of the other texts."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

    from minidisc_plugin.contracts.task import Task

_WORD = re.compile(r"(\s*)(\S+)")


def altered_copies(task: Task, examples: Dataset, copies: int, share: float, seed: int) -> Dataset:
    """Copies of checked examples with altered texts.

    Args:
        task: Knows which columns hold text.
        examples: As `Task.check` gives them.
        copies: Of each example, at least 1.
        share: Of the words of a text, in (0, 1].
        seed: Same seed, same copies.
    """
    from datasets import concatenate_datasets

    occurrences: Counter[str] = Counter()

    def count(text: Any) -> Any:
        occurrences.update(words_of(text))
        return text

    task.altered(examples, count)
    alterations = Alterations(occurrences, share, random.Random(seed))
    return concatenate_datasets([task.altered(examples, alterations) for _ in range(copies)])


class Alterations:
    """Alters texts, each time in another way; a text without words stays as it is.

    Args:
        occurrences: How often each word occurs in the training texts; frequent ones replace others oftener.
        share: Of the words of a text that are altered, in (0, 1]; at least one is.
        chance: Decides.
    """

    def __init__(self, occurrences: Counter[str], share: float, chance: random.Random) -> None:
        self.share = share
        self._vocabulary = list(occurrences)
        self._frequencies = list(accumulate(occurrences.values()))
        self._chance = chance

    def __call__(self, text: str | Sequence[str]) -> str | list[str]:
        """Another text, in which the space before each place is what it was, or another list of words."""
        if not isinstance(text, str):
            return self._altered(text)
        spaces = [space for space, _ in _WORD.findall(text)]
        words = self._altered(words_of(text))
        end = text[len(text.rstrip()) :]
        return "".join(space + word for space, word in zip(spaces, words, strict=False)) + end

    def _altered(self, words: Sequence[str]) -> list[str]:
        found, chance = list(words), self._chance
        if not found:
            return found
        for _ in range(max(1, round(self.share * len(found)))):
            place = chance.randrange(len(found))
            change = chance.choice(("leave out", "swap", "replace")) if len(found) > 1 else "replace"
            if change == "leave out":
                del found[place]
            elif change == "swap":
                other = place - 1 if place else 1
                found[place], found[other] = found[other], found[place]
            else:
                (found[place],) = chance.choices(self._vocabulary, cum_weights=self._frequencies)
        return found


def words_of(text: str | Sequence[str]) -> list[str]:
    """The words of a text, which spaces separate, or of a list of them."""
    return text.split() if isinstance(text, str) else list(text)
