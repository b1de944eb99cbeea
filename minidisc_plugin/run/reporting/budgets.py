"""Budgets of runs, beside what their students take: in words, and as lines of the frontier's picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.budget import Budget
from minidisc_plugin.contracts.records import ModelRow, ResultsRecord
from minidisc_plugin.run.reporting.figures import INK, write
from minidisc_plugin.run.reporting.rows import count, size, three
from minidisc_plugin.run.reporting.search_rows import search_told

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def budget_told(record: ResultsRecord, name: str = "") -> str:
    """A run's budget, and what its student takes; empty where there was none.

    Args:
        record: Of the run.
        name: Of the run, where there are several.
    """
    budget, student = record.budget, record.row("student")
    if budget is None or student is None:
        return ""
    if budget.search is not None:
        return (f"Of {name}: " if name else "") + search_told(budget, budget.search)
    batch = f" at batch_size {budget.batch_size}" if budget.batch_size > 1 else ""
    asked = f"Budget{f' of {name}' if name else ''}: {budget.key} {budget.written}{batch}"
    found = _taken(student, budget)
    return f"{asked}: the student {found}" if found else asked


def draw_budgets(axis: Axes, budgets: Iterable[Budget], key: str, unit: float) -> None:
    """A dotted line at each budget of one kind, with the budget beside it.

    Args:
        axis: The panel of that kind.
        budgets: Of all kinds.
        key: The kind, such as `max_bytes`.
        unit: What the panel counts in.
    """
    amounts = {budget.amount: budget for budget in budgets if budget.key == key and budget.batch_size == 1}
    for amount, budget in amounts.items():
        axis.axvline(amount / unit, color=INK, linestyle=":", linewidth=1.4, zorder=1)
        top = axis.get_xaxis_transform()
        write(
            axis,
            f"budget {_amount(budget)}",
            (amount / unit, 1.0),
            (-3, -3),
            top,
            rotation=90,
            fontsize=9,
            ha="right",
            va="top",
        )


def draw_losses(axis: Axes, budgets: Iterable[tuple[Budget, float | None]]) -> None:
    """A dotted line at the metric that a student may go down to, with the loss beside it.

    Args:
        axis: A panel; the metric goes up.
        budgets: Of all kinds, each with its teacher's metric on the reported split.
    """
    for budget, teacher in budgets:
        if budget.search is None or teacher is None:
            continue
        low, high = budget.search.range
        least = teacher - budget.amount * (high - low)
        axis.axhline(least, color=INK, linestyle=":", linewidth=1.4, zorder=1)
        right = axis.get_yaxis_transform()
        write(axis, f"max_loss {budget.written}", (1.0, least), (-3, -3), right, fontsize=9, ha="right", va="top")


def _amount(budget: Budget) -> str:
    """How much a budget is, as it was given where that has a unit."""
    if budget.key == "max_latency_ms":
        return f"{budget.written} ms"
    if isinstance(budget.asked[budget.key], str):
        return budget.written
    return size(int(budget.amount)) if budget.key == "max_bytes" else count(budget.amount)


def _taken(student: ModelRow, budget: Budget) -> str:
    """What a student takes of its budget, as far as that was measured."""
    if budget.key == "max_latency_ms":
        alone = "" if budget.cost is None else f"took {three(budget.cost)} ms alone, before it was trained"
        if budget.batch_size > 1 or student.latency_ms_batch1 is None:  # no column of results
            return alone
        # Models that run in turn find the processor's caches full of each other.
        in_turn = f"{three(student.latency_ms_batch1)} ms in turn with the other models"
        return f"{alone}, and {in_turn}" if alone else f"takes {in_turn}"
    if budget.key == "max_bytes":
        return f"takes {size(student.bytes_on_disk)}"
    if budget.key == "max_macs":
        return f"takes {count(student.macs)}"
    return f"has {count(student.parameters)}"
