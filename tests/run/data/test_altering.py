"""Altered copies: words of the training texts only, as many labels as words, the same by the same seed."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.run.data.altering import Alterations, altered_copies, words_of
from minidisc_plugin.tasks.registry import TASKS

WORDS = Counter({"a": 3, "film": 2, "good": 1, "\u65e5\u672c": 1, "x,": 1})
words = st.lists(st.sampled_from(sorted(WORDS)), max_size=12)
spaces = st.text(" \n\t", min_size=1, max_size=3)


@st.composite
def texts(draw: st.DrawFn) -> str:
    parts = [draw(st.text(" \n", max_size=2))]
    for word in draw(words):
        parts += [word, draw(spaces)]
    return "".join(parts)


def distance(first: list[str], second: list[str]) -> int:
    """Words to remove, to put in or to replace."""
    before = list(range(len(second) + 1))
    for row, mine in enumerate(first, 1):
        now = [row]
        for column, theirs in enumerate(second, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (mine != theirs)))
        before = now
    return before[-1]


@given(texts(), st.floats(0.01, 1), st.integers(0, 9))
def test_a_text_stays_one_of_known_words_and_loses_no_more_than_asked(text: str, share: float, seed: int) -> None:
    mine = words_of(text)
    found = Alterations(WORDS, share, random.Random(seed))(text)
    assert isinstance(found, str)
    changes = max(1, round(share * len(mine)))
    assert set(words_of(found)) <= set(WORDS)
    assert bool(words_of(found)) == bool(mine)
    assert len(mine) - changes <= len(words_of(found)) <= len(mine)
    assert distance(mine, words_of(found)) <= 2 * changes  # neighbours that change places are two words
    assert found[: len(found) - len(found.lstrip())] == text[: len(text) - len(text.lstrip())]
    if not mine:
        assert found == text
    assert Alterations(WORDS, share, random.Random(seed))(text) == found


@given(words, st.integers(0, 9))
def test_a_list_of_words_is_altered_as_a_text_is(mine: list[str], seed: int) -> None:
    as_list = Alterations(WORDS, 0.3, random.Random(seed))(mine)
    assert as_list == words_of(Alterations(WORDS, 0.3, random.Random(seed))(" ".join(mine)))


def test_each_way_of_altering_is_used_and_frequent_words_come_oftener() -> None:
    alter = Alterations(Counter({"often": 90, "seldom": 1}), 0.1, random.Random(0))
    found = [tuple(words_of(alter("one two three"))) for _ in range(400)]
    left_out = [text for text in found if len(text) == 2]
    swapped = [text for text in found if len(text) == 3 and set(text) == {"one", "two", "three"}]
    replaced = [text for text in found if {"often", "seldom"} & set(text)]
    assert len(left_out) + len(swapped) + len(replaced) == 400
    assert min(map(len, (left_out, swapped, replaced))) > 80
    assert sum("often" in text for text in replaced) > 5 * sum("seldom" in text for text in replaced)


def test_copies_differ_from_each_other_and_not_from_run_to_run() -> None:
    examples = Dataset.from_dict({"sentence": [f"a film of {number} good words" for number in range(30)]})
    task = TASKS["text-generation"]()
    found = altered_copies(task, examples, 3, 0.2, seed=4)
    assert len(found) == 90
    copies = [list(found["sentence"])[start : start + 30] for start in (0, 30, 60)]
    assert copies[0] != copies[1] != copies[2] != copies[0]
    assert all(copy != list(examples["sentence"]) for copy in copies)
    assert list(altered_copies(task, examples, 3, 0.2, seed=4)["sentence"]) == list(found["sentence"])
    assert list(altered_copies(task, examples, 3, 0.2, seed=5)["sentence"]) != list(found["sentence"])


@pytest.mark.parametrize("columns", [["premise"], ["premise", "hypothesis"]])
def test_each_text_of_a_pair_is_altered_and_labels_keep_their_type(columns: list[str]) -> None:
    texts = {name: [f"{name} has words like {n}" for n in range(20)] for name in columns}
    examples = Dataset.from_dict({**texts, "minidisc labels": [0, 1] * 10})
    found = altered_copies(TASKS["text-classification"](), examples, 1, 0.5, seed=0)
    assert found.features == examples.features
    for name in columns:
        assert sum(mine != theirs for mine, theirs in zip(found[name], texts[name], strict=True)) > 10
