"""Pairs of texts, scored or compared with the teacher's, wherever they stand and however they are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import EvalPrediction

from minidisc_plugin.tasks import similarity


def prediction_of(texts: int, seed: int, scored: bool) -> EvalPrediction:
    chance = np.random.default_rng(seed)
    pairs = np.full((texts, 2), np.nan)
    if scored:
        pairs[:, 0] = chance.permutation(np.arange(texts) // 2)  # of an odd number one belongs to no pair
        pairs[:, 1] = pairs[:, 0] / texts
    return EvalPrediction(chance.standard_normal((texts, 5)), (chance.standard_normal((texts, 5)), pairs))


@given(st.integers(4, 30), st.integers(0, 9), st.booleans())
def test_pairs_are_found_wherever_they_stand(texts: int, seed: int, scored: bool) -> None:
    prediction = prediction_of(texts, seed, scored)
    found, wanted = similarity.similarities(prediction)
    embeddings, (teacher, pairs) = prediction.predictions, prediction.label_ids

    def cosine(rows: Any, one: int, other: int) -> float:
        return float(rows[one] @ rows[other] / np.linalg.norm(rows[one]) / np.linalg.norm(rows[other]))

    if scored:
        places = {number: np.flatnonzero(pairs[:, 0] == number) for number in range(texts // 2)}
        by_hand = {(number / texts): cosine(embeddings, *places[number]) for number in places}
        assert dict(zip(wanted, found, strict=True)) == pytest.approx(by_hand, abs=2e-6)
    else:
        every = [(one, other) for one in range(texts) for other in range(one + 1, texts)]
        assert found == pytest.approx([cosine(embeddings, *pair) for pair in every], abs=2e-6)
        assert wanted == pytest.approx([cosine(teacher, *pair) for pair in every], abs=2e-6)


@given(st.integers(4, 30), st.integers(0, 9), st.booleans())
def test_whole_pairs_are_drawn_anew(texts: int, seed: int, scored: bool) -> None:
    prediction = prediction_of(texts, seed, scored)
    rows = np.random.default_rng(seed).integers(0, texts, texts)
    drawn = similarity.redrawn(prediction, rows)
    found, wanted = similarity.similarities(drawn)
    before = set(zip(*similarity.similarities(prediction), strict=True))
    if scored:
        assert len(found) == texts // 2
    assert before.issuperset(zip(found, wanted, strict=True))


def test_many_texts_are_compared_with_some_others() -> None:
    first, second = similarity._some(2_000)
    assert len(first) == 4_000 and not np.any(first == second)
    assert np.bincount(first).tolist() == [2] * 2_000


def test_by_chance_scores_are_those_of_other_pairs() -> None:
    prediction = prediction_of(20, 0, True)
    other = similarity.by_chance(prediction, np.random.default_rng(0))
    _, scores = similarity.similarities(other)
    _, before = similarity.similarities(prediction)
    assert sorted(scores) == sorted(before) and not np.array_equal(scores, before)
