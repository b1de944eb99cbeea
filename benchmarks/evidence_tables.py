"""Tables of `benchmarks.evidence`: every way to a student beside the direct one, objectives, and what rules miss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cells import Record
from benchmarks.judge import right_of
from benchmarks.paired import Outcomes, difference
from benchmarks.ways import DIRECT, FOLLOWING_TEACHER, RULES, SLICE, following, following_both, from_teacher
from minidisc_plugin.selection import TEACHER

HEAD = ("student", "learning rate", "runs", "accuracy", "log-loss", "KL", "time", "against {}, points [95%]")
NEAR = 0.005


@dataclass(frozen=True)
class Student:
    """One student of a run.

    Attributes:
        way: What the table calls how it was made.
        said: Settings of the cell.
        seconds: What it took.
        judged: By split; see judge.
    """

    way: str
    said: Mapping[str, Any]
    seconds: float
    judged: Mapping[str, Mapping[str, Any]]

    @property
    def run(self) -> tuple[str, int]:
        """Task and seed."""
        return self.said["task"], self.said["seed"]


def markdown(records: Iterable[Record]) -> str:
    """Tables for each teacher and scale, in the order of the records."""
    crosses: dict[tuple[str, float], list[Record]] = {}
    objectives: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        group = objectives if "objective" in record.settings else crosses
        group.setdefault((record.settings["teacher"], record.settings["scale"]), []).append(record)
    tables = []
    for (teacher, scale), group in crosses.items():
        students = [student for record in group for student in students_of(record)]
        rate = _rate([one for one in students if one.way == _through("lambda")])
        used = [record for record in group if record.settings["rate"] == rate]
        head = f"**{teacher}, student of {scale:g}** ({_tasks(group)})"
        tables += [head, _table(students, DIRECT), _regrets(used)]
    for (teacher, scale), group in objectives.items():
        students = [_student(record.settings["objective"], record, record.result) for record in group]
        head = f"**objectives, {teacher}, student of {scale:g}** ({_tasks(group)})"
        tables += [head, _table(students, "knowledge_distillation"), _table(students, "minidisc")]
    return "\n\n".join(tables)


def students_of(record: Record) -> list[Student]:
    """The students of a cross, called by what chose their assistants, in the order of a table."""
    made, choices = record.result["students"], record.result["choices"]
    taken = choices["lambda"]["scale"]
    extended = next(way for way in made if way.startswith(f"{DIRECT}, "))
    ways = {DIRECT: DIRECT, extended: extended, SLICE: SLICE, FOLLOWING_TEACHER: FOLLOWING_TEACHER}
    ways |= {_through(rule): _guided(choices[rule]["scale"], following) for rule in RULES}
    ways |= {_through(rule, both=True): _guided(choices[rule]["scale"], following_both) for rule in RULES}
    ways |= {f"the teacher's slice, {_both(both)}assistant": from_teacher(taken, both) for both in (False, True)}
    ways |= {following(one["scale"]): following(one["scale"]) for one in record.result["candidates"]}
    return [_student(name, record, made[way]) for name, way in ways.items() if way in made]


def at_best_rate(students: Sequence[Student]) -> list[Student]:
    """The students of the learning rate whose students are best on validation, which reports nothing."""
    rate = _rate(students)
    return [one for one in students if one.said["rate"] == rate]


def outcomes(students: Sequence[Student]) -> Outcomes:
    """Which test examples each run's student is right about."""
    return {one.run: right_of(one.judged["test"]) for one in students}


def _student(way: str, record: Record, made: Mapping[str, Any]) -> Student:
    return Student(way, record.settings, made["seconds"], made["judged"])


def _through(rule: str, both: bool = False) -> str:
    return f"minidisc, rule {rule}{', guide both' if both else ''}"


def _both(both: bool) -> str:
    return f"following {'teacher and ' if both else ''}"


def _guided(scale: float, name: Callable[[float], str]) -> str:
    return DIRECT if scale == TEACHER else name(scale)


def _tasks(records: Sequence[Record]) -> str:
    return ", ".join(sorted({record.settings["task"] for record in records}))


def _rate(students: Sequence[Student]) -> float:
    """Of those rates that most runs were made with, the best on validation."""
    rates: dict[float, list[Student]] = {}
    for student in students:
        rates.setdefault(student.said["rate"], []).append(student)
    most = max(map(len, rates.values()))
    whole = {rate: tried for rate, tried in rates.items() if len(tried) == most}  # others have no mean yet
    return max(whole, key=lambda rate: np.mean([one.judged["validation"]["metric"] for one in whole[rate]]))


def _table(students: Sequence[Student], against: str) -> str:
    ways: dict[str, list[Student]] = {}
    for student in students:
        ways.setdefault(student.way, []).append(student)
    best = {way: at_best_rate(made) for way, made in ways.items()}
    theirs = best.get(against, [])
    rows = [tuple(word.format(against) for word in HEAD), ("---", *["---:"] * (len(HEAD) - 1))]
    for way, mine in best.items():
        tests = [one.judged["test"] for one in mine]
        gain = difference(outcomes(mine), outcomes(theirs)) if way != against else None
        rows.append(
            (
                way,
                f"{mine[0].said['rate']:g}",
                str(len(mine)),
                *(f"{np.mean([test[key] for test in tests]):.3f}" for key in ("metric", "log_loss", "kl")),
                _times(mine, theirs),
                "" if gain is None else str(gain),
            )
        )
    return lines(rows)


def _times(mine: Sequence[Student], theirs: Sequence[Student]) -> str:
    """How many times as long, on average over what both have."""
    seconds = [{one.run: one.seconds for one in side} for side in (mine, theirs)]
    ratios = [seconds[0][run] / seconds[1][run] for run in seconds[0].keys() & seconds[1].keys()]
    return f"{np.mean(ratios):.1f}" if ratios else ""


def _regrets(records: Sequence[Record]) -> str:
    """What each rule misses against the best student of any assistant or none, and how sure it said it was."""
    rows = [
        ("chosen by", "regret, mean", "worst", "within half a point of the best", "so sure it was"),
        ("---", *["---:"] * 4),
    ]
    for rule in (*RULES, "always the teacher"):
        regrets, shares = [], []
        for record in records:
            made = record.result["students"]
            offered = [DIRECT, *(following(one["scale"]) for one in record.result["candidates"])]
            reached = {way: made[way]["judged"]["test"]["metric"] for way in offered if way in made}
            choice = record.result["choices"].get(rule, {"scale": TEACHER, "share": 1.0})
            regrets.append(max(reached.values()) - reached[_guided(choice["scale"], following)])
            shares.append(choice["share"])
        near = np.mean([regret <= NEAR for regret in regrets])
        worst = f"{100 * max(regrets):.1f}"
        rows.append((rule, f"{100 * np.mean(regrets):.1f}", worst, f"{near:.0%}", f"{np.mean(shares):.0%}"))
    return lines(rows)


def lines(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
