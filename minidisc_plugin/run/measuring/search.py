"""The largest student within a budget whose costs are measured, and so are never quite the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minidisc_plugin.run.budget import Limit

# Of a teacher that takes ten times what its smallest student does, slices so far apart differ by 2 % at most.
_STEPS = 1000
# Share of a budget that two medians of the same slice differ by, anyway.
_NEAR = 0.02
# A slice of twice the units takes twice as long at most; more than so many times that tells of a busy moment.
_DOUBTFUL = 1.1
# At most so many; a dozen on a machine where nothing else runs.
_MEASUREMENTS = 25


def largest_measured(cost: Callable[[float], float], limit: Limit) -> tuple[float, float]:
    """The largest scale within a budget, and its cost; the teacher and the smallest student are looked at first.

    What else runs on a machine only makes it slower: of several measurements of a slice the least counts, and a slice
    that is within the budget speaks for all smaller ones. The two slices that decide in the end are measured once
    more, and so is one that took longer than its size explains, lest a moment in which the machine was busy decides.

    Args:
        cost: Measures it, by scale, in the budget's unit.
        limit: The budget.

    Raises:
        ConfigError: there is none, or the teacher is.
    """
    known: dict[int, float] = {}
    again = {_STEPS}

    def measure(step: int) -> None:
        known[step] = min(cost(step / _STEPS), known.get(step, float("inf")))

    for step in (_STEPS, 1):
        measure(step)
    if known[1] > limit.amount:  # nothing is refused for one measurement
        measure(1)
    limit.check(known[1], known[_STEPS])
    for _ in range(_MEASUREMENTS):
        least = max(step for step, found in known.items() if found <= limit.amount)
        most = min(step for step in known if step > least)
        if most not in again and known[most] * least > _DOUBTFUL * known[least] * most:
            again.add(most)
            measure(most)
        elif most - least > 1 and known[least] < (1 - _NEAR) * limit.amount:
            measure((least + most) // 2)
        elif unsure := sorted({least, most} - again):
            again.add(unsure[0])
            measure(unsure[0])
        else:
            break
    least = max(step for step, found in known.items() if found <= limit.amount)
    return least / _STEPS, known[least]
