"""A look at the teacher before anything is trained: one that is no better than chance on the data teaches nothing."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minidisc_plugin.run.data.collating import collator_of
from minidisc_plugin.tasks.classes import Classes

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import EvalPrediction

    from minidisc_plugin.contracts.run import Prepared

logger = logging.getLogger(__name__)

# Draws of the metric by chance: enough for its mean and spread.
_DRAWS = 8
# Spreads above its mean that chance rarely reaches.
_SPREADS = 2.0
# With fewer examples even a good teacher is within what chance may reach.
_ENOUGH = 20
# Of the reported split.
_SAMPLED = 128
_LISTED = 5
_ROUNDING = 1e-9


def check_teacher(prepared: Prepared) -> None:
    """Warn, in one line, of a teacher that is no better than chance on the selection split, or on the reported one.

    So is one whose classes stand in another order than the data's, which is named where it shows. Costs one pass over
    the former and a sample of the latter; nothing is written, and no chance but its own is drawn from.

    Args:
        prepared: The checked run; its teacher is moved to the device of the run.
    """
    splits = prepared.splits
    for features, said in ((splits.selection, "selection"), (_sample(splits.report), splits.report_name)):
        found = problem_of(prepared, features, said)
        if found:
            logger.warning("teacher: %s", found)
            break


def _sample(features: Dataset) -> Dataset:
    """Features from all over a split, each with its neighbour: they may be the texts of one pair."""
    import numpy as np

    firsts = np.unique(np.linspace(0, (len(features) - 1) // 2, min(_SAMPLED, len(features)) // 2 + 1).astype(int)) * 2
    rows = np.unique(np.concatenate([firsts, firsts + 1]))
    return features.select(rows[rows < len(features)])


def problem_of(prepared: Prepared, features: Dataset, said: str) -> str | None:
    """What is wrong with a teacher by its predictions for some features of the split `said`, if anything."""
    from minidisc_plugin.metrics import result_key

    task, config = prepared.task, prepared.teacher.config
    prediction = _predictions(prepared, features)
    key, size = result_key(prepared.config.metric.name), task.count_examples(features)
    compute = task.compute_metrics(prepared.config.metric, config)
    value = float(_quietly(compute, prediction)[key])
    where = f"its {key} on the {size} examples of the {said} split is {value:.3g}"
    if not math.isfinite(value):
        return f"{where}; is its head trained, and do the data belong to it?"
    counts = task.confusion(prediction, config)
    if counts is not None and counts.any():
        names = Classes(config).names
        labels = counts.sum(1)
        if labels.max() == labels.sum():
            label = names[int(labels.argmax())]
            return f"{where}, and says nothing: all their labels are {label!r}; shuffle the data, or give more"
        order = other_order(counts, names)
        if order:
            return (
                f"{where}, and its classes seem to stand in another order than the data's: {order}; correct the labels "
                "of the data, or id2label in the model's config.json"
            )
    chance, spread = _by_chance(prepared, prediction, compute, key)
    if value <= chance + (_SPREADS * spread if size >= _ENOUGH else 0.0) + _ROUNDING:
        return f"{where}, no better than by chance ({chance:.3g}); is its head trained, and do the data belong to it?"
    return None


def other_order(counts: NDArray[Any], names: Sequence[str]) -> str | None:
    """Which class of the data looks like which of the model, where another order explains predictions far better.

    Args:
        counts: (labels, predictions) how often they occur together.
        names: Of the classes.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    def best(pairs: NDArray[Any]) -> tuple[float, list[tuple[int, int]]]:
        rows, columns = linear_sum_assignment(pairs, maximize=True)
        return float(pairs[rows, columns].sum()), list(zip(rows.tolist(), columns.tolist(), strict=True))

    total = counts.sum()
    reached, pairs = best(counts)
    # Labels and predictions that have nothing to do with each other reach this much.
    unrelated, _ = best(np.outer(counts.sum(1), counts.sum(0)) / max(counts.sum(), 1))
    spread = math.sqrt(max(unrelated * (1 - unrelated / total), 1.0))
    if min(reached - unrelated, reached - float(np.trace(counts))) <= _SPREADS * spread:
        return None
    moved = [(mine, theirs) for mine, theirs in pairs if mine != theirs and counts[mine, theirs]]
    said = [f"{names[mine]!r} of the data looks like the model's {names[theirs]!r}" for mine, theirs in moved[:_LISTED]]
    return f"label {', '.join(said)}{' ...' if len(moved) > _LISTED else ''}"


def _by_chance(
    prepared: Prepared, prediction: EvalPrediction, compute: Callable[[EvalPrediction], dict[str, float]], key: str
) -> tuple[float, float]:
    """Mean and spread of the metric where labels are those of other examples."""
    import numpy as np

    chance = np.random.default_rng(0)
    config = prepared.teacher.config
    drawn = [prepared.task.by_chance(prediction, config, chance) for _ in range(_DRAWS)]
    values = [float(_quietly(compute, each)[key]) for each in drawn]
    finite = [value for value in values if math.isfinite(value)] or [-math.inf]
    return float(np.mean(finite)), float(np.std(finite)) if len(finite) > 1 else 0.0


def _quietly(compute: Callable[[EvalPrediction], dict[str, float]], prediction: EvalPrediction) -> dict[str, float]:
    """The metric, without what libraries say about labels or predictions that are all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compute(prediction)


def _predictions(prepared: Prepared, features: Dataset) -> EvalPrediction:
    from minidisc_plugin.training.predictions import predict

    teacher = prepared.teacher.to(prepared.args.device).eval()
    return predict(teacher, _batches(prepared, features), prepared.task, teacher, prepared.task.reduce)


def _batches(prepared: Prepared, features: Dataset) -> Iterator[Mapping[str, Any]]:
    """Batches without a loader: one would draw from the chance that training draws from."""
    from minidisc_plugin.training.batches import sorted_by_length

    ordered, size = sorted_by_length(features), prepared.args.per_device_eval_batch_size
    collate = collator_of(prepared)
    for start in range(0, len(ordered), size):
        yield collate([ordered[row] for row in range(start, min(start + size, len(ordered)))])
