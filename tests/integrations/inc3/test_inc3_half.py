"""A teacher in half precision: its students are those of the same weights in single precision, in its type."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from neural_compressor.torch.quantization import quantize

from minidisc_plugin.contracts.config import EngineConfig
from minidisc_plugin.integrations.inc3 import MiniDiscConfig, Trial
from minidisc_plugin.run.script import schedule, workbench
from minidisc_plugin.schedulers.direct import Direct
from tests.builders.script import teacher_of
from tests.integrations.inc3.making import inputs

KINDS = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_student_is_trained_in_single_precision_and_comes_back_in_its_teachers(
    kind: torch.dtype, run_files: Path, tmp_path: Path
) -> None:
    teacher = teacher_of(run_files).to(kind)
    config = MiniDiscConfig(0.8, scheduler="direct")
    student = quantize(teacher, config, run_args=Trial(**inputs(run_files, tmp_path / "half")))
    wide = quantize(teacher.float(), config, run_args=Trial(**inputs(run_files, tmp_path / "single")))
    assert student.dtype == kind and wide.dtype == torch.float32
    expected = wide.to(kind).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_script_trains_in_single_precision_and_keeps_its_teacher(
    kind: torch.dtype, run_files: Path, tmp_path: Path
) -> None:
    teacher = teacher_of(run_files).to(kind)
    given = inputs(run_files, tmp_path / "out")
    made = schedule(Direct(target_sparsity=0.8), teacher, **given)
    assert made.student.dtype == torch.float32
    assert {weight.dtype for weight in teacher.parameters()} == {kind}


def test_engine_weights_says_otherwise_and_a_teacher_of_single_precision_is_itself(
    run_files: Path, tmp_path: Path
) -> None:
    teacher, given = teacher_of(run_files), inputs(run_files, tmp_path / "out")
    scheduler = Direct(target_sparsity=0.8)
    assert workbench(scheduler, teacher, **given).teacher is teacher
    half = {**given, "engine": EngineConfig(weights="bfloat16")}
    assert workbench(scheduler, teacher, **half).teacher.dtype == torch.bfloat16 and teacher.dtype == torch.float32
