"""What a table and a plot say of how sure a choice is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from minidisc_plugin.contracts.records import ScheduleRecord
from minidisc_plugin.run.reporting.plot import plot_tradeoff
from minidisc_plugin.run.reporting.schedule_rows import schedule_grid

SCHEDULE = Callable[..., ScheduleRecord]


def sure(schedule: ScheduleRecord, shares: dict[float, float], **changes: Any) -> ScheduleRecord:
    candidates = [
        one.model_copy(
            update={"chosen_in": shares.get(one.scale), "metric_interval": (0.7, 0.9), "log_loss": one.scale}
        )
        for one in schedule.candidates
    ]
    return schedule.model_copy(update={"candidates": candidates, **changes})


@pytest.mark.parametrize(
    ("shares", "lambda_range", "said"),
    [
        ({0.2: 0.6, 0.5: 0.396, 0.3: 0.004}, (0.1, 0.4), "been: 0.2 in 60%, 0.5 in 40%."),
        ({0.2: 1.0}, (0.1, None), "The choice is the same for any lambda from 0.1 on."),
        ({1.0: 0.7, 0.2: 0.3}, None, "Rule: "),
    ],
)
def test_the_table_says_how_sure_the_choice_is(
    shares: dict[float, float], lambda_range: Any, said: str, make_schedule: SCHEDULE
) -> None:
    grid = schedule_grid(sure(make_schedule(), shares, lambda_range=lambda_range))
    assert any(said in note for note in grid.notes), grid.notes
    assert ("0.7000 - 0.9000" in grid.rows[0]) and "95%\ninterval" in grid.header
    assert ("chosen\nin draws" in grid.header) == bool(shares)
    assert sum("would have been" in note for note in grid.notes) == (len([s for s in shares if s < 1]) > 1)


@pytest.mark.parametrize(("weight", "worth"), [(None, [0.2, 0.5]), (2.0, [0.6, 0.7])])
def test_the_plot_of_another_rule_holds_its_losses_and_the_intervals(
    weight: float | None, worth: list[float], tmp_path: Path, make_schedule: SCHEDULE, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []
    draw = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), draw(self, *a, **k)))
    rule = "log_loss" if weight is None else "gap"
    changes = {"lam": None, "chosen_by": rule, "gap_weight": weight, "rule": "lowest log-loss"}
    schedule = sure(make_schedule({0.2: 0.8, 0.5: 0.85}, assistants=(0.5,)), {}, **changes)
    gaps = {0.2: 0.2, 0.5: 0.1}
    candidates = [one.model_copy(update={"gap": gaps[one.scale]}) for one in schedule.candidates]
    assert plot_tradeoff(schedule.model_copy(update={"candidates": candidates}), tmp_path / "plot.png")
    above, below = figures[0].axes
    assert list(below.lines[0].get_ydata()) == pytest.approx(worth) and below.get_ylabel() == "loss"
    (bars,) = above.containers
    found = [sorted(float(y) for _, y in part) for part in bars[2][0].get_segments()]
    assert found == [pytest.approx([0.7, 0.9])] * 2
    low, high = above.get_ylim()
    assert low < 0.7 and high > 0.9
