"""What `minidisc plan` says of short stages."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from minidisc_plugin.run.plan.stage_costs import StageCost
from minidisc_plugin.run.reporting.plan_table import _print_short_stages


def said(*steps: int) -> str:
    console = Console(file=StringIO(), width=200)
    stages = [StageCost(f"stage-{place}", count, 1.0, None, None) for place, count in enumerate(steps)]
    _print_short_stages(stages, console)
    assert isinstance(console.file, StringIO)
    return " ".join(console.file.getvalue().split())


@pytest.mark.parametrize(("steps", "times"), [((199,), "2 times"), ((45, 300), "5 times"), ((1, 199), "200 times")])
def test_a_stage_that_is_too_short_is_named(steps: tuple[int, ...], times: str) -> None:
    words = said(*steps)
    assert [f"stage-{place}" in words for place in range(len(steps))] == [count < 200 for count in steps]
    assert f"try {times} training.num_train_epochs" in words


def test_long_stages_are_not() -> None:
    assert said(200, 5000) == ""
