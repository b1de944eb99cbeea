"""Cosine similarities of pairs of texts, and what they should be: scores, or those of the teacher's embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
    from transformers import EvalPrediction

# Of pairs of a split without scores: what is not known is which texts there are, and the draws rank them often.
_MOST = 5_000
_SAME = 1 - 1e-6
_DIGITS = 6


def similarities(prediction: EvalPrediction) -> tuple[NDArray[Any], NDArray[Any]]:
    """(pairs,) cosines of the predicted embeddings, and what they are compared with.

    Args:
        prediction: Embeddings (texts, width), and as labels the teacher's (texts, width) and the pairs (texts, 2).
    """
    embeddings, teacher, pairs = _parts(prediction)
    first, second = _scored(pairs)
    if len(first):
        return cosines(embeddings, first, second), pairs[first, 1]
    first, second = _some(len(embeddings))
    wanted = cosines(teacher, first, second)
    other = wanted < _SAME  # texts that were drawn twice, or are there twice, say nothing
    return cosines(embeddings, first, second)[other], wanted[other]


def redrawn(prediction: EvalPrediction, rows: NDArray[Any]) -> EvalPrediction:
    """The same of some texts, some of them more than once; where pairs are scored, of as many pairs as there are."""
    from transformers import EvalPrediction

    embeddings, teacher, pairs = _parts(prediction)
    first, second = _scored(pairs)
    if not len(first):
        return EvalPrediction(embeddings[rows], (teacher[rows], pairs[rows]))
    drawn = rows[: len(first)] * len(first) // len(embeddings)
    texts = np.stack([first[drawn], second[drawn]], axis=1).reshape(-1)
    again = pairs[texts]
    again[:, 0] = np.arange(len(texts)) // 2  # a pair that was drawn twice is two
    return EvalPrediction(embeddings[texts], (teacher[texts], again))


def by_chance(prediction: EvalPrediction, chance: Generator) -> EvalPrediction:
    """The same embeddings beside the scores of other pairs, or the teacher's embeddings of other texts."""
    from transformers import EvalPrediction

    embeddings, teacher, pairs = _parts(prediction)
    first, second = _scored(pairs)
    if not len(first):
        return EvalPrediction(embeddings, (chance.permutation(teacher), pairs))
    other = pairs.copy()
    other[first, 1] = other[second, 1] = chance.permutation(pairs[first, 1])
    return EvalPrediction(embeddings, (teacher, other))


def _parts(prediction: EvalPrediction) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    found: Any = prediction.predictions
    teacher, pairs = prediction.label_ids
    embeddings = np.asarray(found[0] if isinstance(found, tuple) else found, dtype=np.float64)
    return embeddings, np.asarray(teacher, dtype=np.float64), np.asarray(pairs, dtype=np.float64)


def _scored(pairs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Places of the first and of the second text of each pair that is there whole, wherever they stand."""
    places = np.flatnonzero(np.isfinite(pairs).all(1))
    ordered = places[np.argsort(pairs[places, 0], kind="stable")]
    numbers = pairs[ordered, 0]
    whole = np.flatnonzero(numbers[:-1] == numbers[1:])
    return ordered[whole], ordered[whole + 1]


def _some(texts: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """All pairs of so many texts, or of each text as many as make up the most."""
    if texts * (texts - 1) // 2 <= _MOST:
        first, second = np.triu_indices(texts, 1)
        return first, second
    steps = np.arange(1, max(2, _MOST // texts + 1))
    first = np.repeat(np.arange(texts), len(steps))
    return first, (first + np.tile(steps, texts)) % texts


def cosines(embeddings: NDArray[Any], first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """(pairs,) of embeddings (texts, width) at the places `first` and `second`, rounded."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.where(lengths > 0, lengths, 1)
    found: NDArray[Any] = np.einsum("ij,ij->i", unit[first], unit[second]).round(
        _DIGITS
    )  # else noise ranks what is alike
    return found
