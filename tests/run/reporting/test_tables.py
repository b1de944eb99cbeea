from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from minidisc_plugin.contracts.records import ResultsRecord, ScheduleRecord, write_json
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.reporting import rows
from minidisc_plugin.run.reporting.tables import markdown_table, print_report, results_table, schedule_table

rich_console = pytest.importorskip("rich.console")

SCHEDULE = Callable[..., ScheduleRecord]
RESULTS = Callable[..., ResultsRecord]


def _printed(*what: object, width: int = 100) -> list[str]:
    console = rich_console.Console(file=io.StringIO(), width=width)
    for item in what:
        console.print(item)
    return console.file.getvalue().splitlines()


def _line(lines: list[str], *starts: str) -> list[str]:
    (found,) = [line.split() for line in lines if line.split()[: len(starts)] == list(starts)]
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (999, "999"),
        (999.6, "1.00k"),
        (1064678, "1.06M"),
        (22_713_216, "22.7M"),
        (85_000_000, "85.0M"),
        (410_000_000, "410M"),
        (999_600_000, "1.00G"),
        (2_500_000_000_000, "2.50T"),
    ],
)
def test_count(value: float | None, text: str) -> None:
    assert rows.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (512, "512 B"), (90_864_192, "90.9 MB"), (4_000_000_000, "4.00 GB")]
)
def test_size(value: int | None, text: str) -> None:
    assert rows.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.04, "0.04 s"),
        (7.25, "7.2 s"),
        (59.7, "60 s"),
        (842.0, "14 min"),
        (3580.0, "1 h 00 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_duration(value: float, text: str) -> None:
    assert rows.duration(value) == text


def test_times_of_many_steps_are_cut_to_the_longest() -> None:
    assert rows.times({}) == ""
    assert rows.times({"a": 60.0, "b": 7.0}) == "67 s (a 60 s, b 7 s)"
    many = {f"s{n}": 10.0 * n for n in range(1, 9)}
    assert rows.times(many) == "6 min (s4 40 s, s5 50 s, s6 60 s, s7 70 s, s8 80 s, 3 others 60 s)"


def test_score_shows_percentages_with_fewer_digits() -> None:
    assert [rows.score(x) for x in (0.8254, 1, -0.12, 86.5, None)] == [
        "0.8254",
        "1.0000",
        "-0.1200",
        "86.50",
        "-",
    ]


def test_schedule_table_holds_the_candidates(make_schedule: SCHEDULE) -> None:
    lines = _printed(schedule_table(make_schedule()))
    assert lines[0].strip() == "minidisc, lambda 0.2: candidates for a student of scale 0.1"
    assert _line(lines, "0.7") == ["0.7", "0.9150", "0.9750", "83.5M", "59.5M", "9", "2,158"]
    assert _line(lines, "0.2") == ["0.2", "0.8700", "1.0300", "41.0M", "17.0M", "3", "622", "assistant"]
    assert not any("reported" in line for line in lines), "raw and selection metric are the same"


def test_schedule_table_numbers_several_assistants_and_shows_a_moved_metric(make_schedule: SCHEDULE) -> None:
    schedule = make_schedule(assistants=(0.5, 0.2), lam=None, measured_on="student")
    first = schedule.candidates[0].model_copy(update={"raw_metric": 0.83})
    schedule = schedule.model_copy(update={"candidates": [first, *schedule.candidates[1:]]})
    lines = _printed(schedule_table(schedule))
    assert _line(lines, "0.7")[1:3] == ["0.9150", "0.8300"]
    assert _line(lines, "0.5")[-2:] == ["assistant", "1"] and _line(lines, "0.2")[-2:] == ["assistant", "2"]
    text = "\n".join(lines)
    assert "student's accuracy" in text and "tradeoff" not in text


def test_results_table_compares_with_the_teacher(make_results: RESULTS) -> None:
    lines = _printed(results_table([make_results()]))
    shown = {role: " ".join(_line(lines, role)) for role in ("teacher", "assistant", "student")}
    assert shown == {
        "teacher": "teacher 1 0.8720 22.7M 10.6M 1.36G 90.9 MB 13.2 150",
        "assistant": "assistant 0.2 0.8490 - - - - - -",
        "student": "student 0.1 0.8250 13.1M 1.06M (10%) 138M 52.5 MB 2.13 1,275 (8.5x)",
    }


def test_a_results_table_without_a_teacher_compares_with_nothing(make_results: RESULTS) -> None:
    student = make_results().rows[2]
    lines = _printed(results_table([make_results(rows=[student])]))
    assert not {"(10%)", "(8.5x)"} & set(_line(lines, "student"))


def test_another_runtime_is_named_and_brackets_are_no_markup(make_results: RESULTS) -> None:
    artefact = make_results().rows[2].model_copy(update={"role": "student [int8]", "runtime": "openvino"})
    lines = _printed(results_table([make_results(rows=[artefact])]), width=140)
    assert any(line.startswith("student [int8], openvino") for line in lines)


def test_runs_next_to_each_other_each_against_its_own_teacher(make_results: RESULTS) -> None:
    slow = [row.model_copy(update={"throughput_batch32": 300.0}) for row in make_results().rows]
    slow[0] = slow[0].model_copy(update={"throughput_batch32": 100.0})
    lines = _printed(results_table([make_results(), make_results(scheduler="direct", rows=slow)]))
    assert _line(lines, "minidisc", "student")[-2:] == ["1,275", "(8.5x)"]
    assert _line(lines, "direct", "student")[-2:] == ["300", "(3.0x)"]
    assert _line(lines, "direct", "teacher")[-1] == "100"


def test_runs_of_one_scheduler_are_told_apart_by_name(make_results: RESULTS) -> None:
    grid = rows.results_grid([make_results(), make_results()], ["seed-1", "seed-2"])
    assert [row[0] for row in grid.rows[::3]] == ["minidisc (seed-1)", "minidisc (seed-2)"]
    assert rows.results_grid([make_results(), make_results()]).rows[3][0] == "minidisc (#2)"


def test_runs_of_different_metrics_say_which(make_results: RESULTS) -> None:
    grid = rows.results_grid([make_results(), make_results(scheduler="direct", metric="f1", split="validation")])
    assert grid.header[3] == "metric"
    assert [grid.rows[n][3] for n in (0, 3)] == ["0.8720 accuracy (test)", "0.8720 f1 (validation)"]


def test_circumstances_are_said_once_unless_they_differ(make_results: RESULTS) -> None:
    alike = rows.results_grid([make_results(), make_results(scheduler="direct")]).notes
    assert sum("at 128 tokens on cpu, 2 CPU threads; seed 42" in note for note in alike) == 1
    other = rows.results_grid([make_results(), make_results(scheduler="direct", device="cuda:0")]).notes
    assert other[0].startswith("minidisc: ") and "on cuda:0" in other[1]
    # sqrt(0.825 * 0.175 / 1000)
    assert "standard error of the student's accuracy: 0.012" in alike[0]
    assert "standard error" not in rows.results_grid([make_results(metric="f1")]).notes[0]


def test_two_runs_fit_into_100_columns(make_results: RESULTS) -> None:
    lines = _printed(results_table([make_results(), make_results(scheduler="maxidisc")]), width=100)
    assert max(map(len, lines)) <= 100
    assert len([line for line in lines if line.split()[1:2] == ["student"]]) == 2
    assert not any("…" in line for line in lines)


def test_markdown_has_the_same_cells(make_results: RESULTS) -> None:
    odd = make_results().rows[0].model_copy(update={"role": "a|b"})
    grid = rows.results_grid([make_results(rows=[*make_results().rows, odd])])
    lines = markdown_table(grid).splitlines()
    assert lines[0].startswith("| role | scale | test accuracy | params | encoder params |")
    assert lines[1] == "| --- |" + " ---: |" * 8
    assert lines[2] == "| teacher | 1 | 0.8720 | 22.7M | 10.6M | 1.36G | 90.9 MB | 13.2 | 150 |"
    assert lines[4].startswith("| **student** | **0.1** | **0.8250** |")
    assert lines[5].startswith("| a\\|b |")


def _run(folder: Path, schedule: ScheduleRecord, results: ResultsRecord | None) -> Path:
    folder.mkdir()
    write_json(folder / "schedule.json", schedule)
    if results is not None:
        write_json(folder / "results.json", results)
    return folder


def _report(*folders: Path) -> str:
    console = rich_console.Console(file=io.StringIO(), width=100)
    print_report(folders, console)
    return console.file.getvalue()


def test_report_of_one_run(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    text = _report(_run(tmp_path / "a", make_schedule(), make_results()))
    assert "1.0300" in text and "1,275 (8.5x)" in text
    assert "\nRule: The candidate with the largest tradeoff.\n" in text
    assert "\nTime: 20 min (schedule 14 min, student 6 min).\n" in text


def test_report_of_several_runs(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    direct = make_schedule({}, assistants=(), scheduler="direct", lam=None, rule="Trained alone.")
    text = _report(
        _run(tmp_path / "a", make_schedule(), make_results()),
        _run(tmp_path / "b", direct, make_results(scheduler="direct")),
    )
    words = " ".join(text.split())
    assert "/a: minidisc, assistant of scale 0.2 (The candidate with the largest tradeoff)" in words
    assert "/b: direct, no assistant (Trained alone)" in words
    assert "Time of direct: 20 min (schedule 14 min, student 6 min)." in words


def test_report_of_a_run_without_candidates(tmp_path: Path, make_schedule: SCHEDULE, make_results: RESULTS) -> None:
    direct = make_schedule({}, assistants=(), scheduler="direct", lam=None)
    assert _report(_run(tmp_path / "a", direct, make_results())).startswith("direct: no assistant\n")


def test_report_of_an_unfinished_run_shows_the_schedule_then_fails(tmp_path: Path, make_schedule: SCHEDULE) -> None:
    console = rich_console.Console(file=io.StringIO(), width=100)
    with pytest.raises(RunDirectoryError, match=r"results\.json is missing"):
        print_report([_run(tmp_path / "a", make_schedule(), None)], console)
    assert "1.0300" in console.file.getvalue()


def test_piped_output_is_wide_enough(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    make_schedule: SCHEDULE,
    make_results: RESULTS,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_report([_run(tmp_path / "a", make_schedule(), make_results())])
    assert any(line.startswith("student") and "(8.5x)" in line for line in capsys.readouterr().out.splitlines())


def test_what_epochs_drew_from_is_said_of_the_run_that_did(make_results: RESULTS) -> None:
    drew = make_results(drawn_from={"labelled": 1200, "unlabelled": 30_000, "altered": 2400})
    said = "Each epoch of training draws 1,200 of 33,600 examples: 1,200 labelled, 30,000 unlabelled, 2,400 altered."
    assert said in rows.results_grid([drew]).notes
    notes = rows.results_grid([make_results(), drew], ["alone", "further"]).notes
    assert f"minidisc (further): {said}" in notes
    assert sum("Each epoch of training" in note for note in notes) == 1
