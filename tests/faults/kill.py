"""Kills before an operation: the run is resumed and must end as if nothing had happened.

`python -m tests.faults.kill --scenario epochs --at 40` repeats one, by a real SIGKILL.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby

from tests.faults.cells import Case, Verdict
from tests.faults.children import Ended
from tests.faults.outcome import difference, outcome
from tests.faults.place import Place
from tests.faults.shim import Fault, Operation
from tests.faults.trees import Tree

_WRITES = ("write", "write-rest")  # the second half of a large one is an operation of its own
# Of the cases that come from a state kept in memory, so many are repeated by a real SIGKILL, or killed once more.
_REAL_EVERY = 25
_TWICE_EVERY = 9


def worth_trying(operations: list[Operation]) -> list[Operation]:
    """All but most of the many writes in a row to one file: of those the first, the middle one and the last."""
    chosen: list[Operation] = []
    for (written, _), group in groupby(operations, lambda one: (one.name in _WRITES, one.path)):
        row = list(group)
        chosen += [row[place] for place in sorted({0, len(row) // 2, len(row) - 1})] if written else row
    return chosen


def cases(place: Place) -> Iterator[Case]:
    """A kill before each operation, and in each gap that the shim does not see."""
    seen: set[str] = set()
    name = place.scenario.name
    check = replaced if place.scenario.replaces else _resumed
    for index, operation in enumerate(worth_trying(place.recording.operations)):
        number = operation.number
        state = place.recording.before[number - 1]
        if state.key not in seen:
            seen.add(state.key)
            yield Case(name, "kill", str(number), str(operation), lambda state=state: check(place, state))
        if index % _REAL_EVERY == _REAL_EVERY // 2:
            yield Case(name, "kill (real)", str(number), str(operation), lambda n=number: killed(place, n))
        if index % _TWICE_EVERY == _TWICE_EVERY // 2 and not place.scenario.replaces:
            yield Case(name, "kill, kill again", str(number), str(operation), lambda n=number: _twice(place, n))
    for number, state in place.recording.unseen.items():
        about = f"after {place.recording.operations[number - 1]}, before its raw rename"
        yield Case(name, "kill", f"{number}+", about, lambda state=state: check(place, state))


def killed(place: Place, number: int) -> Verdict:
    """A real SIGKILL before an operation."""
    place.put(place.start)
    ended = place.run(*place.arguments[2:], fault=Fault(number))
    if ended.status == 0 and 0 < len(ended.operations) < number:  # fewer than the recorded run: killed at its last
        return killed(place, len(ended.operations))
    if ended.status is not None or ended.hung:
        return Verdict("failed", f"it was to be killed, but ended with {ended}")
    state = place.trees.take(place.root)
    return (replaced if place.scenario.replaces else _resumed)(place, state)


def judge(place: Place, ended: Ended, damaged: str | None = None) -> Verdict:
    """Of a resumed run; where it is refused, what the line says is done, and must help.

    Args:
        place: Where it ran.
        ended: How it ended.
        damaged: A file that was changed behind its back: --overwrite keeps it, for somebody may have wanted it so.
    """
    if ended.status == 0:
        found = place.differs()
        return Verdict("failed", f"ended with status 0, but {found}") if found else Verdict("equal")
    if ended.status != 2 or ended.line is None:
        return Verdict("failed", str(ended))
    advice = [] if "leave --resume out" in ended.line else ["--overwrite"] if "--overwrite" in ended.line else None
    if advice is None:
        return Verdict("failed", f"refused without advice: {ended.line}")
    again = place.run(*advice)
    found = str(again) if again.status else place.differs(f"{damaged}.kept-1" if damaged else None)
    if found:
        return Verdict("failed", f"refused: {ended.line}; and then: {found}")
    return Verdict("refused", ended.line)


def _resumed(place: Place, state: Tree) -> Verdict:
    place.put(state)
    return judge(place, place.go_on())


def _twice(place: Place, number: int) -> Verdict:
    """Killed, and killed again at random while it is resumed."""
    place.put(place.recording.before[number - 1])
    left = len(place.recording.operations) - number
    chosen = random.Random(number).randint(1, max(2, left // 2))
    begun = place.out.is_dir() and any(place.out.iterdir())
    ended = place.run(*(["--resume"] if begun else []), fault=Fault(chosen))
    if ended.status is not None:
        return judge(place, ended)
    verdict = judge(place, place.go_on())
    return Verdict(verdict.result, verdict.why and f"second kill at {chosen}: {verdict.why}")


def replaced(place: Place, state: Tree) -> Verdict:
    """A run that was to replace another: one of the two is whole, and both ways on lead to the new one."""
    place.put(state)
    if not _is_whole(place):
        return Verdict("failed", "neither the old run nor the new one is whole")
    resumed = _judge_replacement(place, place.go_on())
    if resumed.result == "failed":
        return Verdict("failed", f"--resume: {resumed.why}")
    place.put(state)
    ended = place.run("--overwrite") if place.out.is_dir() else place.run()
    found = str(ended) if ended.status else place.differs()
    return Verdict("failed", f"--overwrite: {found}") if found else resumed


def _judge_replacement(place: Place, ended: Ended) -> Verdict:
    """As `judge`; the old run, while it stands alone, is refused as one of another config: `--overwrite` helps."""
    if ended.status == 2 and ended.line is not None and "holds a run with another training.seed" in ended.line:
        return Verdict("refused", ended.line)
    return judge(place, ended)


def _is_whole(place: Place) -> bool:
    """Whether models and records of the old run or of the new one are all there.

    The new one's files move to their places one after another when they all are whole: two folders hold it meanwhile.
    """
    held = outcome(place.out) if place.out.is_dir() else {}
    records = [*place.out.glob("*/run.json"), *place.out.glob("*/results.json")]
    found = [held, *({**held, **outcome(folder)} for folder in {record.parent for record in records})]
    for wanted in (place.old, place.recording.outcome):
        kept = {name: value for name, value in (wanted or {}).items() if name.endswith((".safetensors", ".json"))}
        for files in found:
            if kept and difference(kept, {name: files[name] for name in kept.keys() & files.keys()}) is None:
                return True
    return False


if __name__ == "__main__":
    import sys

    from tests.faults.__main__ import repeat

    sys.exit(repeat("kill"))
