"""What is trained no longer where several students share the candidates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from minidisc_plugin.schedulers.halving import Halving

# By 100 selection examples, a candidate loses where it is more than 0.1 behind the best.
TRADEOFFS = {0.7: 0.6, 0.6: 0.62, 0.4: 0.7, 0.3: 0.9, 0.2: 0.95}


def losing(candidates: dict[float, tuple[float, ...]], tradeoffs: dict[float, float] = TRADEOFFS) -> list[float]:
    bench: Any = SimpleNamespace(selection_dataset=range(100))
    nested: Any = None
    sampler: Any = None
    return Halving(bench, nested, sampler, candidates, 0.2, 1)._losing(tradeoffs)


def test_one_student_drops_what_falls_behind() -> None:
    assert losing({0.1: (0.7, 0.6, 0.4, 0.3, 0.2)}) == [0.7, 0.6]


def test_a_candidate_stays_for_the_student_that_needs_it() -> None:
    # Of the two that the student of 0.5 has, neither is behind the other.
    assert losing({0.1: (0.7, 0.6, 0.4, 0.3, 0.2), 0.5: (0.7, 0.6)}) == []
    assert losing({0.1: (0.7, 0.6, 0.4, 0.3, 0.2), 0.35: (0.7, 0.6, 0.4)}) == []
    assert losing({0.1: (0.7, 0.6, 0.4, 0.3, 0.2), 0.25: (0.7, 0.6, 0.4, 0.3)}) == [0.7, 0.6]


def test_a_student_is_trained_on_though_it_loses_as_a_candidate() -> None:
    tradeoffs = {0.7: 0.9, 0.6: 0.95, 0.3: 0.6, 0.2: 0.5}
    assert losing({0.1: (0.7, 0.6, 0.3, 0.2)}, tradeoffs) == [0.3, 0.2]
    assert losing({0.1: (0.7, 0.6, 0.3, 0.2), 0.2: (0.7, 0.6, 0.3)}, tradeoffs) == [0.3]
