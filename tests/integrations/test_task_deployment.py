"""Token classification and question answering in OpenVINO: exported, quantised, measured by their own metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidisc_plugin import CompressionConfig, compress
from tests.tasks.making import make_task_run


@pytest.mark.slow
@pytest.mark.parametrize(("task", "metric"), [("token-classification", "seqeval"), ("question-answering", "squad")])
def test_the_student_is_measured_in_its_runtime(task: str, metric: str, tmp_path: Path) -> None:
    config = make_task_run(
        tmp_path, task, task, metric, scheduler="direct", steps=["export", "quantization"], trainer=None
    )
    rows = compress(CompressionConfig.model_validate(config)).results.rows
    metrics = {(row.role, row.runtime): row.metric for row in rows}
    assert len(metrics) == 5 and all(row.bytes_on_disk and row.latency_ms_batch1 for row in rows)
    torch_metric = metrics["student", "torch fp32"]
    assert metrics["student", "OpenVINO fp32"] == pytest.approx(torch_metric, abs=0.01 * max(torch_metric or 0, 1))
