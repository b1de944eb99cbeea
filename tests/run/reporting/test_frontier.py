"""Which model is the best for its size and its speed: of one run, and of several that report alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.records import ModelRow, ResultsRecord, ScheduleRecord, write_json
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.reporting.frontier import Form, frontier_grid, frontier_of, numbered, read_frontier
from minidisc_plugin.run.reporting.frontier_plot import plot_frontier

SCHEDULE = Callable[..., ScheduleRecord]
RESULTS = Callable[..., ResultsRecord]


def row(
    role: str, metric: float | None, megabytes: float | None, latency: float | None, runtime: str = "torch fp32"
) -> ModelRow:
    size = None if megabytes is None else round(megabytes * 1e6)
    scale = {"teacher": 1.0, "assistant": 0.2}.get(role, 0.1)
    return ModelRow(
        role=role, scale=scale, metric=metric, bytes_on_disk=size, latency_ms_batch1=latency, runtime=runtime
    )


ROWS = [
    row("teacher", 0.81, 90, 13.0),
    row("teacher", 0.81, None, 6.0, "OpenVINO fp32"),
    row("assistant", 0.75, 57, 4.0),  # worse than the student, larger and slower
    row("student", 0.76, 52, 2.4),
    row("student", 0.76, 13, 0.7, "OpenVINO int8"),
    row("student", 0.75, 14, 0.6, "ONNX Runtime int8"),
    row("student", None, 5, 0.1, "TorchAO int8"),  # its metric is not defined
]


@pytest.fixture
def make_run(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> Callable[..., Path]:
    """A folder with the records of a run."""

    def make(name: str, **fields: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_json(folder / "schedule.json", make_schedule())
        write_json(folder / "results.json", make_results(**fields))
        return folder

    return make


def best(forms: list[Form]) -> dict[str, tuple[bool, bool]]:
    return {form.name: (form.smallest, form.fastest) for form in forms}


def test_what_another_one_beats_is_not_on_the_frontier(make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    frontier = frontier_of([make_results(rows=ROWS)], [make_schedule()])
    assert best(frontier.forms) == {
        "teacher": (True, False),
        "teacher, OpenVINO fp32": (False, True),  # of what is not saved the size is not known
        "assistant": (False, False),
        "student": (False, False),
        "student, OpenVINO int8": (True, True),
        "student, ONNX Runtime int8": (False, True),
        "student, TorchAO int8": (False, False),
    }
    assert [form.name for _, form in numbered(frontier)][:2] == ["teacher", "teacher, OpenVINO fp32"]
    assert numbered(frontier)[-1][1].name == "student, TorchAO int8"


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.6, 0.7]), st.integers(1, 4), st.integers(1, 4)), min_size=1))
def test_every_other_is_beaten_by_one_that_is_on_it(found: list[tuple[float, int, int]]) -> None:
    rows = [row("student", metric, size, time, f"runtime {n}") for n, (metric, size, time) in enumerate(found)]
    results = ResultsRecord(
        scheduler="direct", metric="accuracy", split="test", examples=9, sequence_length=8, rows=rows, seed=0,
        device="cpu", threads=1,
    )  # fmt: skip
    schedule = ScheduleRecord(
        scheduler="direct", metric="accuracy", rule="none", target_scale=0.1, target_sparsity=0.9, assistants=[],
        candidates=[],
    )  # fmt: skip
    forms = frontier_of([results], [schedule]).forms
    for on_it, cost in (
        ([form.row for form in forms if form.smallest], "bytes_on_disk"),
        ([form.row for form in forms if form.fastest], "latency_ms_batch1"),
    ):
        for one in rows:
            assert any(a.metric >= one.metric and getattr(a, cost) <= getattr(one, cost) for a in on_it)  # type: ignore[operator]
        for a in on_it:
            assert not any(b.metric > a.metric and getattr(b, cost) <= getattr(a, cost) for b in rows)  # type: ignore[operator]


def test_the_table_compares_with_the_teacher(make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    grid = frontier_grid(frontier_of([make_results(rows=ROWS)], [make_schedule()]))
    cells = {line[1]: line for line in grid.rows}
    assert cells["student, OpenVINO int8"][2:] == (
        "0.1",
        "0.7600",
        "-0.0500",
        "-",
        "13.0 MB",
        "0.700",
        "size and speed",
    )
    assert cells["student, TorchAO int8"][3:5] == ("-", "-") and cells["assistant"][-1] == ""
    assert [line[0] for line in grid.rows] == [str(number) for number in range(1, len(ROWS) + 1)]


def test_runs_that_share_a_teacher_show_it_once(make_run: Callable[..., Path]) -> None:
    half, tenth = (
        make_run(name, rows=[row("teacher", 0.81, 90 + size / 10_000, 13.0), row("student", metric, size, time)])
        for name, metric, size, time in (("half", 0.8, 70, 7.0), ("tenth", 0.76, 52, 2.4))
    )
    frontier = read_frontier([half, tenth])
    assert [form.name for form in frontier.forms] == ["teacher", "half: student", "tenth: student"]
    assert list(frontier.slices) == ["half", "tenth"]
    other = make_run("other", rows=[row("teacher", 0.9, 440, 50.0), row("student", 0.8, 100, 9.0)])
    names = [form.name for form in read_frontier([half, other]).forms]
    assert names == ["teacher", "half: student", "other: teacher", "other: student"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metric": "f1"}, "reports the metric f1, and"),
        ({"split": "validation"}, "reports the split validation, and"),
        ({"task": "token-classification"}, "reports the task token-classification, and"),
        ({"examples": 7}, "reports the examples 7, and"),
    ],
)
def test_runs_that_report_otherwise_are_refused(
    fields: dict[str, Any], said: str, make_run: Callable[..., Path]
) -> None:
    with pytest.raises(RunDirectoryError, match=said):
        read_frontier([make_run("one"), make_run("two", **fields)])


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_command_prints_and_draws(
    kind: str, make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / f"picture.{kind}"
    assert main(["frontier", str(make_run("one")), str(make_run("two")), "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "one: student" in printed and "two: student" in printed and printed.endswith(f"plot: {picture}\n")
    assert picture.stat().st_size > 5000
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", picture.name}


@pytest.mark.parametrize(
    ("file", "said"), [("picture.txt", "ends with .png, .pdf, .svg"), ("none/picture.png", "there is no folder")]
)
def test_a_picture_that_cannot_be_drawn_is_refused_first(
    file: str, said: str, make_run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["frontier", str(make_run("one")), "--plot", str(tmp_path / file)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.out == "" and not (tmp_path / file).exists()


def test_markers_and_numbers_are_told_apart_without_colour(
    make_schedule: SCHEDULE, make_results: RESULTS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    saved: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: (saved.append(self), Path(file).touch()))
    plot_frontier(frontier_of([make_results(rows=ROWS)], [make_schedule()]), tmp_path / "frontier.png")
    parameters, disk, latency = saved[0].axes
    markers = {(line.get_marker(), line.get_markerfacecolor() == "white") for line in latency.lines}
    assert {("s", False), ("s", True), ("D", False), ("o", False), ("o", True)} <= markers
    assert {text.get_text() for text in disk.texts} == {"1", "3", "4", "5", "6"}  # 2 is not saved, 7 has no metric
    slices = parameters.lines[-1]
    assert list(slices.get_ydata()) == [c.raw_metric for c in make_schedule().candidates[::-1]]
    (legend,) = saved[0].legends
    assert legend.texts[0].get_text() == "1  teacher" and "selection split" in legend.texts[-1].get_text()


def budget(**asked: Any) -> Budget:
    return Budget(asked=asked, target_sparsity=0.9, cost=19.63 if "batch_size" in asked else None)


@pytest.mark.parametrize(
    ("asked", "panel", "place", "label"),
    [
        ({"max_parameters": "13M"}, 0, 13.0, "budget 13M"),
        ({"max_bytes": 55_000_000}, 1, 55.0, "budget 55.0 MB"),
        ({"max_latency_ms": 2.5, "batch_size": 1}, 2, 2.5, "budget 2.5 ms"),
        ({"max_latency_ms": 20.0, "batch_size": 8}, None, 20.0, ""),  # of one example nothing is said
        ({"max_macs": "200M"}, None, 200.0, ""),
    ],
)
def test_a_budget_is_a_labelled_line_in_the_panel_of_its_unit(
    asked: dict[str, Any],
    panel: int | None,
    place: float,
    label: str,
    make_schedule: SCHEDULE,
    make_results: RESULTS,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from matplotlib.figure import Figure

    saved: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: (saved.append(self), Path(file).touch()))
    record = make_results(rows=ROWS, budget=budget(**asked))
    plot_frontier(frontier_of([record, record], [make_schedule()] * 2, ["one", "two"]), tmp_path / "frontier.png")
    for number, axis in enumerate(saved[0].axes):
        dotted = [line for line in axis.lines if line.get_linestyle() == ":"]
        labels = [text.get_text() for text in axis.texts if text.get_text().startswith("budget")]
        if number == panel:
            assert [list(line.get_xdata()) for line in dotted] == [[place, place]] and labels == [label]
            assert axis.get_xlim()[0] < place < axis.get_xlim()[1]
        else:
            assert dotted == [] and labels == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"max_parameters": "13.5M"}, "Budget: max_parameters 13.5M: the student has 13.1M."),
        ({"max_bytes": "55MB"}, "Budget: max_bytes 55MB: the student takes 52.5 MB."),
        (
            {"max_latency_ms": 5.0, "batch_size": 1},
            "Budget: max_latency_ms 5: the student took 19.6 ms alone, before it was trained, and 2.13 ms in turn with "
            "the other models.",
        ),
        (
            {"max_latency_ms": 20.0, "batch_size": 8},
            "Budget: max_latency_ms 20 at batch_size 8: the student took 19.6 ms alone, before it was trained.",
        ),
        ({"max_macs": "200M"}, "Budget: max_macs 200M: the student takes 138M."),
    ],
)
def test_a_budget_is_told_below_the_table(
    asked: dict[str, Any], said: str, make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_run("first", budget=budget(**asked))
    assert said in frontier_grid(read_frontier([first])).notes
    notes = frontier_grid(read_frontier([first, make_run("second")])).notes
    assert [note for note in notes if "udget" in note] == [said.replace("Budget:", "Budget of first:")]


def test_a_run_of_which_no_metric_is_defined_has_a_picture_all_the_same(
    make_schedule: SCHEDULE, make_results: RESULTS, tmp_path: Path
) -> None:
    rows = [row("teacher", None, 90, 13.0), row("student", None, 52, 2.4)]
    schedule = make_schedule(dict.fromkeys((0.5, 0.2)), assistants=())
    frontier = frontier_of([make_results(rows=rows)], [schedule])
    plot_frontier(frontier, tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").stat().st_size > 5000
    assert [line[3] for line in frontier_grid(frontier).rows] == ["-", "-"]


def test_it_does_without_torch(make_run: Callable[..., Path]) -> None:
    run = str(make_run("one"))
    code = f"""
import sys
sys.modules["torch"] = None
from minidisc_plugin.cli import main
sys.exit(main(["frontier", {run!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "student" in done.stdout, done.stderr
