"""The selection stage: arithmetic on numbers, without torch, numpy or transformers."""

from __future__ import annotations

from minidisc_plugin.selection.criterion import TEACHER, Criterion, Scores, choose
from minidisc_plugin.selection.halving import losing, rungs
from minidisc_plugin.selection.metric_range import MetricRange, known_range, range_of, to_unit
from minidisc_plugin.selection.tradeoff import check_candidates, lambda_range, largest, tradeoff

__all__ = [
    "TEACHER",
    "Criterion",
    "MetricRange",
    "Scores",
    "check_candidates",
    "choose",
    "known_range",
    "lambda_range",
    "largest",
    "losing",
    "range_of",
    "rungs",
    "to_unit",
    "tradeoff",
]
