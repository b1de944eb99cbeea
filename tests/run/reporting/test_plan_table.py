"""What `minidisc plan` says of short stages, and of models that serve."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.run.measuring.saturation import Saturation, Serving
from minidisc_plugin.run.plan.plan import Plan, make_plan
from minidisc_plugin.run.plan.stage_costs import StageCost
from minidisc_plugin.run.reporting.plan_table import _print_short_stages, print_plan
from tests.builders.tiny import make_config


def said(*steps: int) -> str:
    console = Console(file=StringIO(), width=200)
    stages = [StageCost(f"stage-{place}", count, 1.0, None, None) for place, count in enumerate(steps)]
    _print_short_stages(stages, console)
    assert isinstance(console.file, StringIO)
    return " ".join(console.file.getvalue().split())


def printed(plan: Plan) -> str:
    console = Console(file=StringIO(), width=200)
    print_plan(plan, console)
    assert isinstance(console.file, StringIO)
    return " ".join(console.file.getvalue().split())


@pytest.mark.parametrize(("steps", "times"), [((199,), "2 times"), ((45, 300), "5 times"), ((1, 199), "200 times")])
def test_a_stage_that_is_too_short_is_named(steps: tuple[int, ...], times: str) -> None:
    words = said(*steps)
    assert [f"stage-{place}" in words for place in range(len(steps))] == [count < 200 for count in steps]
    assert f"try {times} training.num_train_epochs" in words


def test_long_stages_are_not() -> None:
    assert said(200, 5000) == ""


def test_what_models_do_on_a_device_is_shown(run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files, output_dir=str(tmp_path / "out"), trainer="transformers")
    plan = make_plan(CompressionConfig.model_validate(data), calibrated=False)
    serving = {1.0: Serving(Saturation(3363.4, 64, 1.5), 2.61), 0.2: Serving(Saturation(24379.0, 512, 0.5), None)}
    words = printed(replace(plan, serving=serving))
    assert "teacher 3,363 64 1.50 2.61" in words and "student 0.2 24,379 512 0.50 -" in words
    assert "serving" not in printed(plan), "on a processor there is nothing to tell"
