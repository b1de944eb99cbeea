"""Tables of `benchmarks.evidence`: every way to a student beside the direct one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.cells import Record
from benchmarks.evidence_cells import DIRECT
from benchmarks.paired import Outcomes, difference

HEAD = ("student", "learning rate", "runs", "accuracy", "log-loss", "KL", "time", "against direct, points [95%]")


def markdown(records: Iterable[Record]) -> str:
    """A table for each teacher and scale, in the order of the records."""
    groups: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        groups.setdefault((record.settings["teacher"], record.settings["scale"]), []).append(record)
    return "\n\n".join(_table(teacher, scale, group) for (teacher, scale), group in groups.items())


def _table(teacher: str, scale: float, records: Sequence[Record]) -> str:
    ways: dict[str, list[Record]] = {}
    for record in records:
        ways.setdefault(record.settings["variant"], []).append(record)
    best = {variant: at_best_rate(tried) for variant, tried in ways.items()}
    rows = [HEAD, ("---", *["---:"] * (len(HEAD) - 1))]
    for variant, chosen in best.items():
        tests = [record.result["judged"]["test"] for record in chosen]
        against = difference(outcomes(chosen), outcomes(best.get(DIRECT, []))) if variant != DIRECT else None
        rows.append(
            (
                variant,
                f"{chosen[0].settings['rate']:g}",
                str(len(chosen)),
                *(f"{np.mean([test[key] for test in tests]):.3f}" for key in ("metric", "log_loss", "kl")),
                _times(chosen, best.get(DIRECT, [])),
                "" if against is None else str(against),
            )
        )
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    tasks = sorted({record.settings["task"] for record in records})
    return f"**{teacher}, student of {scale:g}** ({', '.join(tasks)})\n\n{body}"


def at_best_rate(records: Sequence[Record]) -> list[Record]:
    """The records of the learning rate whose students are best on validation, which reports nothing."""
    rates: dict[float, list[Record]] = {}
    for record in records:
        rates.setdefault(record.settings["rate"], []).append(record)
    most = max(map(len, rates.values()))
    whole = [tried for tried in rates.values() if len(tried) == most]  # a rate that is not through has no mean yet
    return max(whole, key=lambda tried: np.mean([one.result["judged"]["validation"]["metric"] for one in tried]))


def outcomes(records: Sequence[Record]) -> Outcomes:
    """Which test examples each run's student is right about."""
    right = {(one.settings["task"], one.settings["seed"]): one.result["judged"]["test"]["right"] for one in records}
    return {pair: np.array(list(each)) == "1" for pair, each in right.items()}


def _times(mine: Sequence[Record], theirs: Sequence[Record]) -> str:
    """How many times as long as the direct runs, on average over what both have."""
    seconds: list[Mapping[tuple[str, int], float]] = [
        {(one.settings["task"], one.settings["seed"]): one.result["seconds"] for one in side} for side in (mine, theirs)
    ]
    ratios = [seconds[0][pair] / seconds[1][pair] for pair in seconds[0].keys() & seconds[1].keys()]
    return f"{np.mean(ratios):.1f}" if ratios else ""
