from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from minidisc_plugin.contracts.records import ScheduleRecord
from minidisc_plugin.run.reporting.plot import has_picture, plot_tradeoff

matplotlib = pytest.importorskip("matplotlib")

MAKE = Callable[..., ScheduleRecord]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list:
    """Every figure that is saved."""
    from matplotlib.figure import Figure

    saved: list[Figure] = []
    original = Figure.savefig

    def savefig(self: Figure, *args: object, **options: object) -> None:
        saved.append(self)
        original(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def _texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_writes_a_png_of_printable_size(tmp_path: Path, make_schedule: MAKE) -> None:
    from matplotlib.image import imread

    path = tmp_path / "tradeoff.png"
    assert plot_tradeoff(make_schedule(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tradeoff.png"]
    height, width, _ = imread(path).shape
    assert 900 <= width <= 1600 and 600 <= height <= 1300
    assert 20_000 < path.stat().st_size < 300_000
    assert len({*imread(path)[:, :, 0].ravel()}) > 50, "an empty canvas has one grey"


def test_lines_hold_the_numbers_and_differ_without_colour(tmp_path: Path, make_schedule: MAKE, figures: list) -> None:
    schedule = make_schedule()
    plot_tradeoff(schedule, tmp_path / "tradeoff.png")
    top, bottom = figures[0].axes
    metric, tradeoff = top.lines[0], bottom.lines[0]
    ordered = schedule.candidates[::-1]
    assert list(metric.get_xdata()) == [c.scale for c in ordered]
    assert list(metric.get_ydata()) == [c.metric for c in ordered]
    assert list(tradeoff.get_ydata()) == [c.tradeoff for c in ordered]
    assert metric.get_linestyle() != tradeoff.get_linestyle()
    assert metric.get_marker() != tradeoff.get_marker()
    assert "student: 0.1" in _texts(top)
    assert _texts(bottom) == ["chosen: 0.2"]
    assert top.get_ylabel() == "accuracy"
    assert "0.2" in bottom.get_title(loc="right")


@pytest.mark.parametrize("lam", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("last", [0.7, 0.95])
def test_words_stay_inside_the_picture(
    tmp_path: Path, make_schedule: MAKE, figures: list, lam: float, last: float
) -> None:
    metrics = {0.12: 0.9, 0.15: 0.8, 0.9: last}
    plot_tradeoff(make_schedule(metrics, assistants=(0.12, 0.9), lam=lam), tmp_path / "t.png")
    figure = figures[0]
    canvas = figure.bbox
    words = [text for axis in figure.axes for text in (*axis.texts, axis.xaxis.label, axis.yaxis.label)]
    for text in words:
        box = text.get_window_extent()
        assert canvas.x0 <= box.x0 and box.x1 <= canvas.x1, text.get_text()
        assert canvas.y0 <= box.y0 and box.y1 <= canvas.y1, text.get_text()
    for axis in figure.axes:
        boxes = [text.get_window_extent() for text in axis.texts]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        assert all(axis.bbox.x0 <= box.x0 and box.x1 <= axis.bbox.x1 for box in boxes)
        assert all(axis.bbox.y0 <= box.y0 and box.y1 <= axis.bbox.y1 for box in boxes)


def test_without_a_tradeoff_there_is_one_panel(tmp_path: Path, make_schedule: MAKE, figures: list) -> None:
    schedule = make_schedule(lam=None, assistants=(0.3,), scheduler="maxidisc", measured_on="student")
    assert plot_tradeoff(schedule, tmp_path / "tradeoff.png")
    (axis,) = figures[0].axes
    assert axis.get_ylabel() == "accuracy of the student"
    assert set(_texts(axis)) == {"chosen: 0.3", "student: 0.1"}


def test_every_chosen_candidate_is_named_and_a_missing_value_is_shown(
    tmp_path: Path, make_schedule: MAKE, figures: list
) -> None:
    schedule = make_schedule({0.7: 0.91, 0.5: 0.9, 0.4: None, 0.2: 0.87}, assistants=(0.5, 0.2))
    assert plot_tradeoff(schedule, tmp_path / "tradeoff.png")
    assert sorted(_texts(figures[0].axes[1])) == ["chosen: 0.2", "chosen: 0.5", "no value"]


def test_a_metric_that_was_moved_says_so(tmp_path: Path, make_schedule: MAKE, figures: list) -> None:
    schedule = make_schedule(metric="matthews_correlation")
    moved = [c.model_copy(update={"raw_metric": 2 * c.metric - 1}) for c in schedule.candidates]
    plot_tradeoff(schedule.model_copy(update={"candidates": moved}), tmp_path / "tradeoff.png")
    assert figures[0].axes[0].get_ylabel() == "matthews correlation\n(brought to [0, 1])"


@pytest.mark.parametrize("metrics", [{}, {0.5: 0.9}, {0.5: 0.9, 0.3: None}])
def test_nothing_to_compare_means_no_picture(
    tmp_path: Path, make_schedule: MAKE, metrics: dict[float, float | None]
) -> None:
    schedule = make_schedule(metrics, assistants=())
    assert not has_picture(schedule)
    assert plot_tradeoff(schedule, tmp_path / "tradeoff.png") is False
    assert not list(tmp_path.iterdir())


def test_equal_metrics_can_be_drawn(tmp_path: Path, make_schedule: MAKE) -> None:
    assert plot_tradeoff(make_schedule({0.5: 0.9, 0.2: 0.9}, lam=0.0), tmp_path / "tradeoff.png")


def test_leaves_pyplot_and_the_users_style_alone(tmp_path: Path, make_schedule: MAKE) -> None:
    from matplotlib import pyplot

    with matplotlib.rc_context({"font.size": 7.0, "axes.grid": False, "text.color": "red"}):
        before = dict(matplotlib.rcParams)
        plot_tradeoff(make_schedule(), tmp_path / "tradeoff.png")
        assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_importing_reporting_loads_no_heavy_library() -> None:
    code = """
import sys
import minidisc_plugin.run.reporting.card, minidisc_plugin.run.measuring.measure
import minidisc_plugin.run.reporting.plot, minidisc_plugin.run.reporting.tables
heavy = {"torch", "transformers", "matplotlib", "rich", "huggingface_hub", "numpy"} & set(sys.modules)
sys.exit(f"loaded: {sorted(heavy)}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
