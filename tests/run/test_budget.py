"""A budget in parameters or bytes is the largest student within it; one that no student can meet is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from transformers import PreTrainedModel

import minidisc_plugin
from minidisc_plugin import MiniDisc, sparsity_within
from minidisc_plugin.cli import main
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.workbench import Allocation
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.nested.family import family_of
from minidisc_plugin.nested.model import NestedModel
from minidisc_plugin.nested.ranking import Ranking, rank_units
from minidisc_plugin.plugins import families
from minidisc_plugin.run.budget import largest_file, without_weights
from minidisc_plugin.run.measuring.measure import bytes_on_disk, count_parameters
from minidisc_plugin.run.pipeline import compress
from tests.builders.tiny import make_bert, make_config
from tests.builders.zoo import here, later_slow, make_model

TEACHER = count_parameters(make_bert())
HEAD = 4 * 32 * 8 + 3 * 8  # its weights and biases
SCALES = (0.03, 0.11, 0.37, 0.5, 0.77)


def refused(pruning: dict[str, Any], files: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a run with this section ends with, before anything is written."""
    file, out = folder / "config.yaml", folder / "out"
    file.write_text(yaml.safe_dump(make_config(files, pruning=pruning, output_dir=str(out))), encoding="utf-8")
    assert main(["run", str(file)]) == 2 and not out.exists()
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.strip() and "/s]" not in line)
    return line


def scale_within(teacher: PreTrainedModel | None = None, **budget: Any) -> float:
    """The scale that a budget is for a teacher, the tiny one when left out."""
    return 1 - sparsity_within(make_bert() if teacher is None else teacher, **budget)


@pytest.mark.parametrize("allocation", ["global", "uniform"])
@pytest.mark.parametrize("case", later_slow(here()))
def test_no_ranking_makes_a_slice_larger_than_was_said(case: str, allocation: Allocation, tmp_path: Path) -> None:
    model = make_model(case)
    family = family_of(model.config, families())
    expected = without_weights(model, family, allocation)
    file_size = largest_file(expected, "float32")
    nested = NestedModel(model, family, allocation)
    ties = [units.tie for units in nested._structure.heads]
    for seed in range(2):
        nested.apply_ranking(random_ranking(nested, ties, seed))
        for scale in SCALES:
            slice_ = nested.extract(scale)
            found, most = count_parameters(slice_), expected.parameters_at_most(scale)
            assert found <= most
            if len(set(ties)) == 1:  # in T5 some attentions share heads, and others do not
                assert found >= 0.99 * most
            slice_.save_pretrained(tmp_path / f"{seed}-{scale}")
            assert bytes_on_disk(tmp_path / f"{seed}-{scale}") <= file_size(scale)


def random_ranking(nested: NestedModel, ties: list[int | None], seed: int) -> Ranking:
    generator = torch.Generator().manual_seed(seed)

    def scores(counts: list[int]) -> list[Tensor]:
        return [torch.rand(count, generator=generator) * torch.rand(1, generator=generator) for count in counts]

    heads, neurons = nested.sizes(1.0)
    uniform = nested.allocation == "uniform"
    return Ranking(rank_units(scores(heads), ties, uniform), rank_units(scores(neurons), (), uniform))


@pytest.mark.parametrize(
    "pruning", [{"max_parameters": TEACHER - 9000}, {"max_bytes": f"{(TEACHER - 9000) * 4 / 1000}kB"}]
)
def test_a_run_within_a_budget(pruning: dict[str, Any], run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files, pruning=pruning, scheduler_config={}, output_dir=str(tmp_path / "out"))
    result = compress(CompressionConfig.model_validate(data))
    student = result.results.row("student")
    assert student is not None and student.parameters is not None and student.bytes_on_disk is not None
    budget, found, most = (
        (TEACHER - 9000, student.parameters, HEAD)
        if "max_parameters" in pruning
        else ((TEACHER - 9000) * 4, student.bytes_on_disk, 4 * HEAD + 2000)  # and the names of emptied layers
    )
    assert budget - most < found <= budget
    resolved = yaml.safe_load((tmp_path / "out" / "config.resolved.yaml").read_text(encoding="utf-8"))
    assert resolved["pruning"] == {"target_sparsity": pytest.approx(result.schedule.target_sparsity)}
    # What is written runs again as what was meant, and so does the budget.
    again = CompressionConfig.model_validate(resolved)
    assert (
        compress(again, resume=True).output_dir
        == compress(CompressionConfig.model_validate(data), resume=True).output_dir
    )


def test_a_plan_shows_the_student_of_a_budget(
    run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    data = make_config(
        run_files, pruning={"max_parameters": "15k"}, scheduler_config={}, output_dir=str(tmp_path / "out")
    )
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert main(["plan", str(file)]) == 0
    assert re.search(r"student 0\.\d+ .* 1[45]\.\d", capsys.readouterr().out)


def test_a_larger_budget_is_a_larger_student_and_half_precision_needs_half() -> None:
    scales = [scale_within(max_bytes=(TEACHER - taken) * 4) for taken in (12000, 8000, 4000)]
    assert scales == sorted(scales) and len(set(scales)) == 3
    half = scale_within(make_bert().bfloat16(), max_bytes=(TEACHER - 8000) * 2)
    assert half == pytest.approx(scales[1], abs=0.1)  # the header is not halved


def test_a_script_gives_a_scheduler_what_a_budget_is() -> None:
    teacher = make_bert()
    weights = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    scheduler = MiniDisc(target_sparsity=sparsity_within(teacher, max_parameters=TEACHER - 8000))
    nested = minidisc_plugin.NestedModel(teacher)
    assert TEACHER - 8000 - HEAD < nested.parameter_counts(scheduler.target_scale)[0] <= TEACHER - 8000
    assert all(torch.equal(weight, weights[name]) for name, weight in teacher.state_dict().items())
    for budget in ({}, {"max_parameters": "10M", "max_bytes": "20MB"}):
        with pytest.raises(ConfigError, match="give max_parameters or max_bytes"):
            sparsity_within(teacher, **budget)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"max_parameters": 1000}, "max_parameters: 1000: the smallest student of this teacher has"),
        ({"max_bytes": "4 kB"}, "max_bytes: '4 kB': the smallest student of this teacher has"),
        ({"max_parameters": "1B"}, f"max_parameters: '1B': the teacher is within it, with {TEACHER:,} parameters"),
        ({"max_bytes": "1GiB"}, "max_bytes: '1GiB': the teacher is within it"),
    ],
)
def test_a_budget_that_no_student_meets_or_the_teacher_does(
    pruning: dict[str, Any], message: str, run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        scale_within(**pruning)
    assert str(error.value).startswith(message)
    assert refused(pruning, run_files, tmp_path, capsys).startswith(f"minidisc: pruning.{message}")


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({}, "pruning: {} cannot be used: nothing is given; give one of pruning.target_sparsity, "),
        ({"max_parameters": "10M", "max_bytes": "20MB"}, "max_parameters and max_bytes are given; give one of"),
        ({"target_sparsity": 0.9, "max_bytes": "20MB"}, "target_sparsity and max_bytes are given; give one of"),
        ({"max_parameters": "10MB"}, "pruning.max_parameters: '10MB' cannot be used: it is no number of parameters"),
        ({"max_parameters": "-3"}, "pruning.max_parameters: '-3' cannot be used"),
        ({"max_parameters": -3}, "pruning.max_parameters: -3 cannot be used"),
        ({"max_parameters": 1e7}, "pruning.max_parameters: 10000000.0 cannot be used"),
        ({"max_parameters": True}, "pruning.max_parameters: True cannot be used"),
        ({"max_parameters": "0.0001k"}, "pruning.max_parameters: '0.0001k' cannot be used: it is less than 1"),
        ({"max_bytes": "20 parsecs"}, "pruning.max_bytes: '20 parsecs' cannot be used: it is no number of bytes"),
        ({"max_bytes": "many"}, "pruning.max_bytes: 'many' cannot be used"),
        ({"max_bytes": "nan"}, "pruning.max_bytes: 'nan' cannot be used"),
        ({"max_bytes": 0}, "pruning.max_bytes: 0 cannot be used"),
        ({"max_bytes": [20]}, "pruning.max_bytes: [20] cannot be used"),
    ],
)
def test_a_budget_that_is_none(
    pruning: dict[str, Any], message: str, run_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(pruning, run_files, tmp_path, capsys)
