"""`minidisc select`: choosing again by hand-written records, where the right answer is arithmetic."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.records import SCHEDULE_FILE, Candidate, ScheduleRecord, read_schedule, write_json
from minidisc_plugin.run.reselection import select_again
from minidisc_plugin.schedulers.choosing import settle
from minidisc_plugin.selection import Criterion
from tests.cli.test_cli import contents, refused

# MRPC, BERT-base, a student of 10%: assistant's metric by scale, as published.
PUBLISHED = {0.7: 0.915, 0.6: 0.913, 0.5: 0.913, 0.4: 0.899, 0.3: 0.889, 0.2: 0.870}


def published_run(folder: Path, lam: float | None = 0.2) -> Path:
    """The schedule of a run that never took place, with the published metrics."""
    candidates = [
        Candidate(scale=s, sparsity=1 - s, heads=[4], neurons=[64], parameters=9, encoder_parameters=9, metric=m)
        for s, m in PUBLISHED.items()
    ]
    record = ScheduleRecord(
        scheduler="minidisc" if lam is not None else "fixed",
        lam=lam,
        metric="accuracy",
        rule="by hand",
        target_scale=0.1,
        target_sparsity=0.9,
        assistants=[0.2],
        candidates=candidates,
    )
    folder.mkdir()
    write_json(folder / SCHEDULE_FILE, record)
    return folder


def rows(printed: str) -> dict[float, tuple[float, str]]:
    """Of the printed table: scale to tradeoff and choice."""
    found = re.findall(r"^ *(0\.\d) +0\.\d+ +(\d\.\d+) .* 64 *(assistant.*?|) *$", printed, flags=re.MULTILINE)
    return {float(scale): (float(tradeoff), choice) for scale, tradeoff, choice in found}


@pytest.mark.parametrize(
    ("options", "lam", "chosen"),
    [
        ([], 0.2, 0.2),
        (["--lambda", "0"], 0.0, 0.7),
        (["--lambda", "0.02"], 0.02, 0.5),
        (["--lambda", "0.15"], 0.15, 0.3),
        (["--lambda", "0.2"], 0.2, 0.2),
        (["--lambda", "1"], 1.0, 0.2),
    ],
)
def test_another_lambda_chooses_as_the_arithmetic_says(
    options: list[str], lam: float, chosen: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen == max(PUBLISHED, key=lambda scale: PUBLISHED[scale] + lam * (1 - scale))
    folder = published_run(tmp_path / "run")
    before = contents(tmp_path)
    assert main(["select", str(folder), *options]) == 0
    printed = capsys.readouterr().out
    assert f"{lam:g} * (1 - scale)" in printed
    shown = rows(printed)
    assert shown.keys() == PUBLISHED.keys()
    for scale, (tradeoff, choice) in shown.items():
        assert tradeoff == pytest.approx(PUBLISHED[scale] + lam * (1 - scale), abs=5.1e-5)
        assert choice == ("assistant" if scale == chosen else "")
    assert contents(tmp_path) == before


def test_two_assistants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = published_run(tmp_path / "run")
    assert main(["select", str(folder), "--lambda", "0", "--assistants", "2"]) == 0
    chosen = {scale for scale, (_, choice) in rows(capsys.readouterr().out).items() if choice}
    assert chosen == {0.7, 0.5}  # of two with the same metric, the smaller


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--lambda", "-1"], "lambda"),
        (["--lambda", "nan"], "lambda"),
        (["--assistants", "0"], "assistants"),
        (["--assistants", "7"], "7 candidates wanted"),
        (["--rule", "gap"], "1 candidates wanted, 0 have a finite log-loss and divergence"),
        (["--rule", "log_loss", "--lambda", "0.1"], "lambda does nothing in the rule 'log_loss'"),
        (["--gap-weight", "2"], "gap weight does nothing in the rule 'lambda'"),
    ],
)
def test_out_of_range(options: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reason in refused(["select", str(published_run(tmp_path / "run")), *options], capsys)


def test_it_needs_a_scheduler_that_chooses_by_the_tradeoff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "scheduler: minidisc" in refused(["select", str(published_run(tmp_path / "run", lam=None))], capsys)


@pytest.mark.parametrize(
    ("assistants", "lam", "chosen"), [(2, 0.02, [1.0, 0.5]), (3, 0.02, [1.0, 0.6, 0.5]), (1, 0.0, [1.0])]
)
def test_a_run_that_chose_the_teacher_among_others_is_chosen_alike(
    assistants: int, lam: float, chosen: list[float], tmp_path: Path
) -> None:
    folder = published_run(tmp_path / "run", lam)
    record = read_schedule(folder)
    teacher = record.candidates[0].model_copy(update={"scale": 1.0, "sparsity": 0.0, "metric": 0.93})
    settled = settle([teacher, *record.candidates], Criterion(lam=lam), 0.1, assistants)
    assert [one.scale for one in settled if one.selected] == chosen
    smaller = [scale for scale in chosen if scale != 1.0]
    write_json(
        folder / SCHEDULE_FILE,
        record.model_copy(update={"candidates": settled, "assistants": smaller, "chosen_by": "lambda"}),
    )
    again = select_again(folder)
    assert [one.scale for one in again.candidates if one.selected] == chosen
    assert again.assistants == smaller
