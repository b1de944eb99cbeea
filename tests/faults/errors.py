"""Operations that fail: the run ends with one line and status 1 or 2, and can be gone on with.

`python -m tests.faults.errors --scenario epochs --at 40 --error ENOSPC` repeats one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from tests.faults.cells import Case, Verdict
from tests.faults.kill import judge, replaced, worth_trying
from tests.faults.place import Place
from tests.faults.shim import Fault

# What a finished run removes last; on a disk that was just made read-only, the next command does.
_LEFT = (".lock is there", "checkpoints/")
# A disk that is full or read-only stays so; one that cannot write a block may write the next.
ERRORS = {"ENOSPC": True, "EIO": False, "EROFS": True}


def cases(place: Place) -> Iterator[Case]:
    """Each error at each operation that can meet it."""
    for error, onwards in ERRORS.items():
        for operation in worth_trying(place.recording.operations):
            if error == "ENOSPC" and not operation.takes_space:
                continue
            fault = Fault(operation.number, getattr(errno, error), onwards)
            name = place.scenario.name
            yield Case(name, error, str(operation.number), str(operation), lambda fault=fault: failed(place, fault))


def failed(place: Place, fault: Fault) -> Verdict:
    """A run that meets an error, and what a user does then."""
    place.put(place.start)
    ended = place.run(*place.arguments[2:], fault=fault)
    if ended.status == 0:  # nothing was lost: a flush that is only tried, or something that is not needed
        found = place.differs()
        if found is None:
            return Verdict("equal")
        if fault.error != errno.EROFS or not any(left in found for left in _LEFT):
            return Verdict("failed", f"ended with status 0, but {found}")
        return judge(place, place.go_on())
    if ended.line is None:
        return Verdict("failed", str(ended))
    verdict = replaced(place, place.trees.take(place.root)) if place.scenario.replaces else judge(place, place.go_on())
    return Verdict(verdict.result, f"{ended.line}; and then: {verdict.why}" if verdict.why else ended.line)


if __name__ == "__main__":
    import sys

    from tests.faults.__main__ import repeat

    sys.exit(repeat("errors"))
