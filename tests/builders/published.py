"""Records to report on, made from the figure that the MiniDisc paper published for MRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minidisc_plugin.contracts.records import Candidate, ModelRow, ResultsRecord, ScheduleRecord

MRPC = {0.7: 0.915, 0.6: 0.913, 0.5: 0.913, 0.4: 0.899, 0.3: 0.889, 0.2: 0.870}


@pytest.fixture
def make_schedule() -> Callable[..., ScheduleRecord]:
    def make(
        metrics: dict[float, float | None] | None = None,
        assistants: tuple[float, ...] = (0.2,),
        lam: float | None = 0.2,
        **fields: Any,
    ) -> ScheduleRecord:
        scores = MRPC if metrics is None else metrics
        candidates = [
            Candidate(
                scale=scale,
                sparsity=1 - scale,
                heads=[round(12 * scale), 1],
                neurons=[round(3072 * scale), 8],
                parameters=round(24e6 + 85e6 * scale),
                encoder_parameters=round(85e6 * scale),
                metric=metric,
                raw_metric=metric,
                tradeoff=None if lam is None or metric is None else metric + lam * (1 - scale),
                selected=scale in assistants,
            )
            for scale, metric in scores.items()
        ]
        base: dict[str, Any] = {
            "scheduler": "minidisc",
            "lam": lam,
            "metric": "accuracy",
            "rule": "The candidate with the largest tradeoff",
            "target_scale": 0.1,
            "target_sparsity": 0.9,
            "assistants": list(assistants),
            "candidates": candidates,
            "seconds": {"importance": 12.25, "sandwich": 830.0},
        }
        return ScheduleRecord(**(base | fields))

    return make


@pytest.fixture
def make_results() -> Callable[..., ResultsRecord]:
    def make(**fields: Any) -> ResultsRecord:
        base: dict[str, Any] = {
            "scheduler": "minidisc",
            "metric": "accuracy",
            "split": "test",
            "examples": 1000,
            "sequence_length": 128,
            "rows": [
                ModelRow(
                    role="teacher",
                    scale=1,
                    metric=0.872,
                    parameters=22_713_216,
                    encoder_parameters=10_646_784,
                    macs=1_364_000_000,
                    bytes_on_disk=90_864_192,
                    latency_ms_batch1=13.21,
                    throughput_batch32=150.0,
                ),
                ModelRow(role="assistant", scale=0.2, metric=0.849, path="assistant"),
                ModelRow(
                    role="student",
                    scale=0.1,
                    metric=0.825,
                    parameters=13_131_000,
                    encoder_parameters=1_064_678,
                    macs=138_000_000,
                    bytes_on_disk=52_524_000,
                    latency_ms_batch1=2.134,
                    throughput_batch32=1275.0,
                    path="student",
                ),
            ],
            "seconds": {"schedule": 842.25, "student": 383.0},
            "versions": {"torch": "2.13.0", "transformers": "4.57.6"},
            "seed": 42,
            "device": "cpu",
            "threads": 2,
        }
        return ResultsRecord(**(base | fields))

    return make
