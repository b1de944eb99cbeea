"""Checks that need the data and the model, made before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.config import CompressionConfig
from minidisc_plugin.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.data import Splits


def check_lengths(config: CompressionConfig, splits: Splits, teacher: PreTrainedModel) -> None:
    """Refuse examples that are longer than what the model has positions for."""
    limit = getattr(teacher.config, "max_position_embeddings", None) or 0
    if not 0 < limit < config.max_length:
        return
    parts = [split for split in (splits.train, splits.selection, splits.validation, splits.report) if split is not None]
    longest = max(len(ids) for split in parts for ids in split["input_ids"])
    if longest > limit:
        raise ConfigError(
            f"max_length: {config.max_length} lets through examples of up to {longest} tokens, "
            f"and the model has {limit} positions; set max_length: {limit}"
        )


def rehearse_metric(config: CompressionConfig, teacher: PreTrainedModel) -> None:
    """Compute the metric on a few perfect predictions, so that options that do not fit stop nothing later on."""
    from minidisc_plugin.metrics import build_compute_metrics, result_key
    from minidisc_plugin.selection import MetricRange, to_unit
    from minidisc_plugin.tasks import is_regression, perfect_predictions

    metric = config.metric
    declared = MetricRange(*metric.range) if metric.range else None
    compute = build_compute_metrics(metric.name, is_regression(teacher.config), metric.options)
    key = result_key(metric.name)
    to_unit([compute(perfect_predictions(teacher.config))[key]], key, declared)
