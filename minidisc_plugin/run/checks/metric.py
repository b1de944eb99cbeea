"""The metric, tried on perfect predictions before anything is trained: what they reach tells whether it can choose."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.selection import MetricRange, known_range, to_unit

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import EvalPrediction, PretrainedConfig

    from minidisc_plugin.contracts.config import CompressionConfig, MetricConfig
    from minidisc_plugin.contracts.run import Splits
    from minidisc_plugin.contracts.task import Task

logger = logging.getLogger(__name__)

Scored = Callable[["EvalPrediction"], float]

_ROUNDING = 1e-6


def rehearse_metric(config: CompressionConfig, task: Task, model: PretrainedConfig, splits: Splits) -> None:
    """Refuse a metric whose options or range do not fit, or that says nothing of a split.

    Raises:
        ConfigError: it counts examples, its range is not that of its values, or a split has no value.
        MetricError: its options do not fit, or its values lie outside every range.
    """
    scored = _scored(config.metric, task, model)
    few = task.perfect_predictions(model)
    best, again = scored(few), scored(_twice(few))
    _check_range(config.metric, best, again)
    for split, said in ((splits.selection, "selection"), (splits.report, splits.report_name)):
        _check_split(config.metric, scored, task.perfect_predictions_of(split, model), split, said)


def _scored(metric: MetricConfig, task: Task, model: PretrainedConfig) -> Scored:
    from minidisc_plugin.metrics import result_key

    compute, key = task.compute_metrics(metric, model), result_key(metric.name)

    def value(predictions: EvalPrediction) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of labels that are all the same
            return float(compute(predictions)[key])

    return value


def _twice(predictions: EvalPrediction) -> EvalPrediction:
    """The same predictions, each two times."""
    import numpy as np
    from transformers import EvalPrediction

    def doubled(part: Any) -> Any:
        return tuple(doubled(one) for one in part) if isinstance(part, tuple) else np.concatenate([part, part])

    return EvalPrediction(doubled(predictions.predictions), doubled(predictions.label_ids))


def _check_range(metric: MetricConfig, best: float, again: float) -> None:
    """What perfect predictions reach, and reach again with each of them two times, belongs to the range."""
    options = f" with options {metric.options}" if metric.options else ""
    if metric.range is None:
        if best and math.isclose(again, 2 * best, rel_tol=_ROUNDING):
            raise ConfigError(
                f"metric: {metric.name}{options} grows with the number of examples ({best:g}, and {again:g} for twice "
                "as many); choose options that give a share, or declare metric.range: [low, high]"
            )
        to_unit([best, again], metric.name)
        return
    low, high = metric.range
    (reached,) = to_unit([best], metric.name, MetricRange(low, high))
    known = known_range(metric.name)
    if known is not None and abs(reached - 1) > _ROUNDING:
        raise ConfigError(
            f"metric.range: [{low:g}, {high:g}], and {metric.name}{options} is {best:g} where every prediction is "
            f"right; leave range out, or end it at {best:g}"
        )
    if reached < 0.5:
        logger.warning(
            "metric.range: [%g, %g], and %s is %g where every prediction is right: candidates would hardly differ",
            low,
            high,
            metric.name,
            best,
        )


def _check_split(
    metric: MetricConfig, scored: Scored, perfect: EvalPrediction | None, split: Dataset, said: str
) -> None:
    """Perfect predictions of a split have a value."""
    if perfect is None or not len(split):
        return
    value = scored(perfect)
    labels = {repr(label) for label in split["labels"]} if len(split) else set()
    alike = f"all {len(split)} labels are {labels.pop()}" if len(labels) == 1 else f"of {len(split)} labels"
    if not math.isfinite(value):
        raise ConfigError(
            f"dataset: the {said} split: {metric.name} has no value even where every prediction is right ({alike}); "
            "give labels that differ, or choose another metric"
        )
