"""The search for the largest student within a budget bears measurements that are off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.budget import Limit
from minidisc_plugin.run.measuring.search import largest_measured

BUSY = 2.0


class Machine:
    """Takes 2 ms and 10 ms for all of a teacher; twice as long at the calls that are named."""

    def __init__(self, busy: set[int]) -> None:
        self.busy, self.calls = busy, 0

    def __call__(self, scale: float) -> float:
        self.calls += 1
        return (2.0 + 10.0 * scale) * (BUSY if self.calls in self.busy else 1.0)


def limit(amount: float) -> Limit:
    return Limit(f"max_latency_ms: {amount}", amount, lambda value: f"{value:.3g} ms", "takes", "another teacher")


@given(st.floats(2.1, 11.9))
def test_the_student_is_within_the_budget_and_near_it(amount: float) -> None:
    machine = Machine(set())
    scale, cost = largest_measured(machine, limit(amount))
    assert 0.98 * amount <= cost == 2.0 + 10.0 * scale <= amount
    assert machine.calls <= 14


@given(st.floats(2.1, 11.0), st.integers(1, 14))
def test_a_moment_in_which_the_machine_is_busy_does_not_decide(amount: float, call: int) -> None:
    scale, cost = largest_measured(Machine({call}), limit(amount))
    assert cost == 2.0 + 10.0 * scale <= amount and cost >= 0.98 * amount


@given(st.floats(4.3, 11.0), st.integers(3, 6))
def test_neither_do_several_in_a_row(amount: float, last: int) -> None:
    scale, cost = largest_measured(Machine(set(range(1, last))), limit(amount))
    assert cost == 2.0 + 10.0 * scale <= amount and cost >= 0.98 * amount


def test_it_ends_on_a_machine_that_is_never_the_same() -> None:
    machine = Machine(set(range(3, 100, 2)))
    scale, cost = largest_measured(machine, limit(6.0))
    assert cost <= 6.0 and 0 < scale < 1 and machine.calls <= 27


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (2.0, "max_latency_ms: 2.0: the smallest student of this teacher takes 2.01 ms, .*or another teacher"),
        (12.0, "max_latency_ms: 12.0: the teacher is within it, with 12 ms; give less"),
    ],
)
def test_what_cannot_be_is_refused_at_once(amount: float, said: str) -> None:
    machine = Machine(set())
    with pytest.raises(ConfigError, match=said):
        largest_measured(machine, limit(amount))
    assert machine.calls <= 3
