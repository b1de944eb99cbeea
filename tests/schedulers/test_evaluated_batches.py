"""Evaluations cost what their examples cost, however large a batch may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.values import LARGEST_INTEGER
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of
from minidisc_plugin.schedulers.workbench import Workbench
from minidisc_plugin.training.arguments import for_stage, training_arguments
from tests.builders.tiny import make_config


@pytest.mark.parametrize(("size", "examples", "expected"), [(LARGEST_INTEGER, 24, 24), (64, 24, 24), (8, 24, 8)])
def test_no_batch_of_an_evaluation_is_larger_than_what_is_evaluated(
    size: int, examples: int, expected: int, tmp_path: Path
) -> None:
    args = training_arguments({"use_cpu": True, "per_device_eval_batch_size": size}, tmp_path)
    dataset = Dataset.from_dict({"input_ids": [[1]] * examples})
    assert for_stage(args, "selection", dataset).per_device_eval_batch_size == expected
    for unknown in (None, {"one": dataset, "other": dataset}, dataset.to_iterable_dataset()):
        assert for_stage(args, "selection", unknown).per_device_eval_batch_size == size
    assert args.per_device_eval_batch_size == size


def test_every_trainer_of_a_run_is_bounded(run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files, trainer="transformers")
    data["training"] |= {"per_device_eval_batch_size": LARGEST_INTEGER, "eval_strategy": "epoch"}
    prepared = prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")
    bench = workbench_of(prepared)
    assert isinstance(bench, Workbench)
    for dataset in (None, prepared.splits.report):
        evaluator = bench._evaluator.trainer(bench.teacher, "exam", dataset)
        assert evaluator.args.eval_batch_size == len(evaluator.eval_dataset)
        evaluator.evaluate()  # which took a minute, or the memory
    training = bench.stages.trainer(bench._distillation(bench.teacher, bench.teacher, "student"))
    assert training.args.eval_batch_size == len(training.eval_dataset)
    (batch,) = bench._evaluator.batches(prepared.splits.report, LARGEST_INTEGER)
    assert len(batch["input_ids"]) == len(prepared.splits.report)
