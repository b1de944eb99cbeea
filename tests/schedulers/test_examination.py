"""What the selection split says of each slice: losses, gaps and draws, against the model asked example by example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of
from minidisc_plugin.schedulers.workbench import Workbench
from tests.builders.tiny import make_config, make_run_files
from tests.tasks.making import make_task_run

SCALES = [1.0, 0.6, 0.3]
STUDENT = 0.3
TASKS = [
    ("token-classification", "token-classification", "seqeval"),
    ("question-answering", "question-answering", "squad"),
    ("text-generation", "llama", "bits_saved"),
    ("text2text-generation", "t5", "bits_saved"),
]


def bench_of(config: dict[str, Any]) -> Workbench:
    output = Path(config["output_dir"])
    bench = workbench_of(prepare(validate(CompressionConfig, config), output / "checkpoints"))
    assert isinstance(bench, Workbench)
    return bench


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Workbench:
    if request.param in (False, True):
        make_run_files(tmp_path, regression=request.param)
        changes = {"trainer": "transformers", "output_dir": str(tmp_path / "run")}
        return bench_of(make_config(tmp_path, request.param, **changes))
    return bench_of(make_task_run(tmp_path, *request.param))


@pytest.mark.parametrize("bench", [False, True, *TASKS], indirect=True)
def test_losses_and_gaps_are_those_of_each_example_alone(bench: Workbench) -> None:
    nested = bench.ranked_network()
    examined = bench._evaluator.examine(nested, SCALES, "exam", STUDENT, draws=0)
    features = bench.selection_dataset
    trainer = bench.evaluator(bench.teacher, "one")
    columns = trainer._remove_unused_columns(features, "evaluation")
    assert examined.losses.shape == examined.gaps.shape == (len(features), len(SCALES))
    nested.eval()
    wanted = np.empty(examined.losses.shape)
    for place, scale in enumerate(SCALES):
        nested.set_scale(scale)
        for row in range(len(columns)):
            batch = trainer.data_collator([columns[row]])
            with torch.no_grad():
                wanted[row, place] = nested.model(**bench.task.labelled(batch)).loss.item()
    # Trainer may take examples in another order, the same for all scales.
    assert np.sort(examined.losses, 0) == pytest.approx(np.sort(wanted, 0), abs=2e-5)
    order, expected = np.argsort(examined.losses[:, 0]), np.argsort(wanted[:, 0])
    assert examined.losses[order, 1] == pytest.approx(wanted[expected, 1], abs=2e-5)
    assert examined.gaps[:, 2] == pytest.approx(np.zeros(len(features)), abs=1e-6)  # the student itself
    assert (examined.gaps[:, :2] > 0).all()
    assert examined.metrics == pytest.approx(bench.metrics_of(nested, SCALES, "again"))


@pytest.mark.parametrize("bench", [False], indirect=True)
def test_a_gap_is_the_divergence_of_the_students_slice(bench: Workbench) -> None:
    nested = bench.ranked_network()
    examined = bench._evaluator.examine(nested, SCALES, "exam", STUDENT, draws=0)
    batch = bench.evaluator(bench.teacher, "one").data_collator([dict(row) for row in bench.selection_dataset])
    inputs = bench.task.inputs(batch, bench.teacher)
    nested.eval()
    logs = []
    for scale in (SCALES[0], STUDENT):
        nested.set_scale(scale)
        with torch.no_grad():
            logs.append(torch.log_softmax(nested.model(**inputs).logits, -1))
    divergence = (logs[0].exp() * (logs[0] - logs[1])).sum(-1)
    assert np.sort(examined.gaps[:, 0]) == pytest.approx(np.sort(divergence.numpy()), abs=1e-6)


@pytest.mark.parametrize("bench", [False, TASKS[0]], indirect=True)
def test_draws_are_paired_and_about_the_split(bench: Workbench) -> None:
    nested = bench.ranked_network()
    examined = bench._evaluator.examine(nested, [0.6, 0.6, 0.3], "exam", STUDENT, draws=100)
    assert examined.drawn_metrics is not None
    assert examined.drawn_metrics[0] == examined.drawn_metrics[1]  # the same slice on the same draws
    for drawn, metric in zip(examined.drawn_metrics, examined.metrics, strict=True):
        assert len(drawn) == 100
        assert abs(np.nanmean(drawn) - metric) < 0.1
    means, losses = np.array(examined.drawn_losses), examined.losses
    assert means.mean(1) == pytest.approx(losses.mean(0), abs=4 * losses.std() / np.sqrt(len(losses)))
    error = losses.std(0) / np.sqrt(len(losses))
    assert means.std(1) == pytest.approx(error, rel=0.5)


@pytest.mark.parametrize("bench", [TASKS[1]], indirect=True)
def test_where_rows_are_no_examples_the_metric_is_not_drawn(bench: Workbench) -> None:
    examined = bench._evaluator.examine(bench.ranked_network(), [0.6, 0.3], "exam", STUDENT, draws=5)
    assert examined.drawn_metrics is None
    assert [len(drawn) for drawn in examined.drawn_losses] == [5, 5]


@pytest.mark.parametrize("bench", [False], indirect=True)
def test_candidates_bear_what_was_examined(bench: Workbench) -> None:
    nested = bench.ranked_network()
    candidates = bench.evaluate(nested, bench.specify("minidisc", nested, [0.6, 0.4]), "minidisc", student=STUDENT)
    for candidate in candidates:
        low, high = candidate.metric_interval or (1.0, 0.0)
        assert low <= (candidate.metric or 0.0) <= high
        assert (candidate.log_loss or 0) > 0 and (candidate.gap or 0) > 0
        assert candidate.resampled is not None and len(candidate.resampled.gap) == 200
    without = bench.evaluate(nested, bench.specify("other", nested, [0.6]), "other", "without-student")
    assert without[0].gap is None and without[0].log_loss == pytest.approx(candidates[0].log_loss)
