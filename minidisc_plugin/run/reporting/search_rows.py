"""The search for the smallest student that is good enough as words: which were tried, and what each lost."""

from __future__ import annotations

from minidisc_plugin.contracts.budget import Budget, Search, Tried
from minidisc_plugin.contracts.records import ResultsRecord
from minidisc_plugin.run.reporting.rows import NOTHING, Grid, duration, plain, score, sentence


def search_grid(results: ResultsRecord) -> Grid | None:
    """One row for the teacher and for each student that a run tried, largest first; None where none was."""
    budget = results.budget
    if budget is None or budget.search is None:
        return None
    search = budget.search
    tried = sorted(search.tried, key=lambda one: -one.scale)
    place = next(place for place, one in enumerate(tried, start=1) if _is_chosen(one, budget))
    return Grid(
        title=f"students for max_loss {budget.written}, on {search.examples:,} examples of the {search.split} split",
        header=("scale", plain(results.metric), "lost,\npoints", "standard\nerror", "sure", "time", "student"),
        rows=(
            ("1", score(search.teacher), *(NOTHING,) * 4, "teacher"),
            *((*_cells(one), _said(one, budget)) for one in tried),
        ),
        words=0,
        strong=frozenset({place}),
        notes=(sentence(search_told(budget, search)),),
    )


def search_told(budget: Budget, search: Search) -> str:
    """What the search for a budget found, in a line."""
    chosen = next(one for one in search.tried if _is_chosen(one, budget))
    asked = f"max_loss {budget.written} at confidence {budget.asked['confidence']}"
    asked_of_each = "" if search.needed is None else f" of {search.needed:.0%} that each comparison needs"
    sure = "" if chosen.sure is None else f", no more than it may in {chosen.sure:.0%} of the draws{asked_of_each}"
    found = (
        f"the student of scale {chosen.scale:g} lost {_points(chosen.loss)} points on the {search.split} split{sure}"
    )
    if search.kept:
        error = f"; a loss there is told to {_points(chosen.error)} points (one standard error)"
        return f"{asked}: {found}{'' if chosen.error is None else error}"
    return f"{asked}: no student is good enough; {found}, and is the best that was found"


def _cells(one: Tried) -> tuple[str, ...]:
    sure = NOTHING if one.sure is None else f"{one.sure:.0%}"
    return f"{one.scale:g}", score(one.metric), _points(one.loss), _points(one.error), sure, duration(one.seconds)


def _said(one: Tried, budget: Budget) -> str:
    if _is_chosen(one, budget):
        return "taken" if one.good_enough else "taken, not good enough"
    return "good enough" if one.good_enough else "not good enough"


def _is_chosen(one: Tried, budget: Budget) -> bool:
    return round(1 - one.scale, 6) == round(budget.target_sparsity, 6)


def _points(share: float | None) -> str:
    """A share of the metric's range, in hundredths of it."""
    return NOTHING if share is None else f"{100 * share:.1f}"
