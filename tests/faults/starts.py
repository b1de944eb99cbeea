"""Two commands on one folder: one runs and ends right, the other is refused in one line.

`python -m tests.faults.starts --scenario epochs --only 'start, start/40'` repeats one.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

from minidisc_plugin.contracts.output import LOCK_FILE
from tests.faults.cells import Case, Verdict
from tests.faults.children import Ended
from tests.faults.kill import worth_trying
from tests.faults.place import Place
from tests.faults.shim import Operation
from tests.faults.trees import Tree

_PAIRS = {
    "start, start": ((), ()),
    "start, resume": ((), ("--resume",)),
    "resume, resume": (("--resume",), ("--resume",)),
    "overwrite, overwrite": (("--overwrite",), ("--overwrite",)),
    "resume, overwrite": (("--resume",), ("--overwrite",)),
}
_EVERY = 12
_RANDOM = 6
_SAID_OF_A_FINISHED_RUN = ("already holds a run", "no run to resume", "another process has finished the run meanwhile")


def cases(place: Place) -> Iterator[Case]:
    """The first one waits before an operation while the second one runs; and both at random distances."""
    operations = worth_trying(place.recording.operations)
    middle = _middle(place)
    for pair, (first, second) in _PAIRS.items():
        begun = place.recording.finished if "--overwrite" in first else middle if first else place.start
        # The first operations make the folder and take the lock.
        for operation in [*operations[:12], *operations[12::_EVERY]]:
            yield Case(
                place.scenario.name,
                f"two: {pair}",
                str(operation.number),
                f"second while the first is before {operation}",
                lambda o=operation, f=first, s=second, b=begun: _paused(place, b, f, s, o),
            )
        for number in range(_RANDOM):
            yield Case(
                place.scenario.name,
                f"two: {pair}",
                f"random-{number}",
                "second after a random time",
                lambda f=first, s=second, b=begun, n=number: _at_random(place, b, f, s, n),
            )


def _middle(place: Place) -> Tree:
    """A state from which there is much to resume."""
    before = place.recording.before
    return before[len(before) // 2]


def _paused(
    place: Place, begun: Tree, first: tuple[str, ...], second: tuple[str, ...], operation: Operation
) -> Verdict:
    place.put(begun)
    # What is resumed from the middle has half of the operations.
    number = operation.number if begun is not _middle(place) else (operation.number + 1) // 2
    one = place.begin(["run", str(place.config), *first], name="one", pause_at=number)
    waits = one.waits()
    # Held for long between taking the lock and writing its name into it, as no process is but here.
    lock = place.out / LOCK_FILE
    unsigned = waits and lock.is_file() and not lock.read_bytes()
    two = place.begin(["run", str(place.config), *second], name="two").end()
    if waits:
        one.go()
    return _judge(place, one.end(), two, nameless=unsigned)


def _at_random(place: Place, begun: Tree, first: tuple[str, ...], second: tuple[str, ...], number: int) -> Verdict:
    place.put(begun)
    delay = random.Random(number).uniform(0, 0.3 if number % 2 else 4)
    one = place.begin(["run", str(place.config), *first], name="one")
    two = place.begin(["run", str(place.config), *second], name="two", delay=delay)
    return _judge(place, one.end(), two.end())


def _judge(place: Place, one: Ended, two: Ended, nameless: bool = False) -> Verdict:
    done = [ended for ended in (one, two) if ended.status == 0]
    if not done:
        return Verdict("failed", f"neither ended well: {one} // {two}")
    if found := place.differs():
        return Verdict("failed", f"{found}; {one} // {two}")
    if len(done) == 2:  # one after the other: the second found a finished run, or replaced it
        return Verdict("equal", "one after the other")
    refused = two if one.status == 0 else one
    if refused.status != 2 or refused.line is None:
        return Verdict("failed", f"the other one was not refused in one line: {refused}")
    named = (nameless and "is in use by another process" in refused.line) or (
        str(done[0].pid) in refused.line and socket.gethostname() in refused.line
    )
    if not named and not any(said in refused.line for said in _SAID_OF_A_FINISHED_RUN):
        return Verdict("failed", f"neither host and pid nor a finished run are named: {refused.line}")
    return Verdict("equal", refused.line)


if __name__ == "__main__":
    import sys

    from tests.faults.__main__ import repeat

    sys.exit(repeat("starts"))
