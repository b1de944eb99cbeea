"""The journal: what is finished, how long it took, and what it found."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from minidisc_plugin.schedulers.journal import Journal


def test_seconds_of_stages_sum_to_the_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resume=False)
    started = time.perf_counter()
    with journal.stage("outer"):
        time.sleep(0.02)
        with journal.stage("inner"):
            time.sleep(0.05)
    whole = time.perf_counter() - started
    assert journal.seconds["inner"] >= 0.05
    assert journal.seconds["outer"] >= 0.02
    assert sum(journal.seconds.values()) <= whole + 0.002, "the inner stage counts twice"


def test_a_stage_that_fails_is_not_finished_and_counts_for_nobody_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resume=False)
    with pytest.raises(KeyboardInterrupt), journal.stage("cut off"):
        raise KeyboardInterrupt
    assert not journal.finished("cut off")
    with journal.stage("next") as result:
        result["found"] = 3
    again = Journal(tmp_path, resume=True)
    assert again.finished("next") and again.result("next") == {"found": 3} and not again.finished("cut off")
    assert not Journal(tmp_path, resume=False).finished("next")


def test_one_of_several_students_has_stages_of_its_own(tmp_path: Path) -> None:
    """Beside those that all share, whatever these are called; a scale may be as small as it can be."""
    journal = Journal(tmp_path, resume=False)
    tenth, least = journal.of(0.1), journal.of(1e-5)
    for whose, name in ((journal, "best-of-3"), (tenth, "student"), (tenth, "best-of-3"), (least, "student")):
        with whose.stage(name) as result:
            result["of"] = id(whose)
    assert list(journal.seconds) == ["best-of-3", "student-of-0.1", "best-of-3-of-0.1", "student-of-1e-05"]
    assert set(tenth.seconds) == {"best-of-3", "student"} and set(least.seconds) == {"best-of-3", "student"}
    assert tenth.seconds["best-of-3"] == journal.seconds["best-of-3-of-0.1"]
    assert tenth.result("student") == {"of": id(tenth)} != least.result("student")
    assert journal.of(0.2).finished("student") is journal.finished("student") is False
