"""How much of a metric quantization lost, and what a value beyond the metric's range costs: that number alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.run.measuring.results import lost_share
from tests.builders.tiny import make_config


def run_of(files: Path, **metric: Any) -> Any:
    """What is asked of a run."""
    config = CompressionConfig.model_validate(make_config(files, metric=metric))
    return SimpleNamespace(prepared=SimpleNamespace(config=config), bench=SimpleNamespace(metric=config.metric.name))


@pytest.mark.parametrize(
    ("metric", "before", "after", "said"),
    [
        ({"name": "f1", "range": [0.0, 0.5]}, 0.75, 0.4, "metric f1: 0.75 is outside [0, 0.5]"),
        ({"name": "pearsonr", "range": [0.0, 1.0]}, 0.9, -0.3, "metric pearsonr: -0.3 is outside [0, 1]"),
        ({"name": "bleu"}, 31.5, 30.0, "metric bleu: 31.5 is outside [0, 1]"),
    ],
    ids=["student", "artefact", "undeclared"],
)
def test_a_value_beyond_the_range_is_said_and_ends_no_report(
    metric: dict[str, Any],
    before: float,
    after: float,
    said: str,
    run_files: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert lost_share(run_of(run_files, **metric), before, after) is None
    assert said in caplog.text and "declare its range" in caplog.text


def test_a_value_within_the_range_is_a_share_of_it(run_files: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert lost_share(run_of(run_files, name="f1", range=[0.0, 0.5]), 0.4, 0.3) == pytest.approx(0.2)
    assert lost_share(run_of(run_files, name="accuracy"), 0.8, 0.9) == pytest.approx(-0.1)
    assert lost_share(run_of(run_files, name="accuracy"), None, 0.9) is None
    assert not caplog.records
