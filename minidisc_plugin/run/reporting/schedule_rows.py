"""A schedule as words: what each candidate scored, which one was taken, and how sure that is."""

from __future__ import annotations

from minidisc_plugin.contracts.records import Candidate, ScheduleRecord
from minidisc_plugin.run.reporting.rows import NOTHING, Grid, count, plain, score, sentence

_LIKELY = 4
_UNLIKELY = 0.005


def schedule_grid(schedule: ScheduleRecord) -> Grid:
    """One row per candidate, largest scale first; columns that hold nothing anywhere are left out."""
    candidates = sorted(schedule.candidates, key=lambda candidate: -candidate.scale)
    columns = {
        "scale": [f"{c.scale:.4g}" for c in candidates],
        _metric_name(schedule): [score(c.metric) for c in candidates],
        "95%\ninterval": [_interval(c.metric_interval) for c in candidates],
        "as\nreported": [score(c.raw_metric) if c.raw_metric != c.metric else NOTHING for c in candidates],
        "tradeoff": [score(c.tradeoff) for c in candidates],
        "log-loss": [score(c.log_loss) for c in candidates],
        "gap to\nstudent": [score(c.gap) for c in candidates],
        "params": [count(c.parameters) for c in candidates],
        "encoder\nparams": [count(c.encoder_parameters) for c in candidates],
        "heads": [f"{sum(c.heads):,}" for c in candidates],
        "neurons": [f"{sum(c.neurons):,}" for c in candidates],
        "chosen\nin draws": [NOTHING if c.chosen_in is None else f"{c.chosen_in:.0%}" for c in candidates],
        "choice": [_choice(schedule, c) for c in candidates],
    }
    columns = {name: cells for name, cells in columns.items() if set(cells) - {NOTHING, ""}}
    return Grid(
        title=f"{schedule.scheduler}{weight(schedule)}: candidates for a student of scale {schedule.target_scale:.4g}",
        header=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        words=0,
        strong=frozenset(place for place, c in enumerate(candidates) if c.selected),
        notes=tuple(map(sentence, (f"Rule: {schedule.rule}", *_sureness(schedule)))),
    )


def choice(schedule: ScheduleRecord) -> str:
    """The outcome in a few words: "assistant of scale 0.2", "no assistant"."""
    if not schedule.assistants:
        return "no assistant"
    noun = "assistant" if len(schedule.assistants) == 1 else "assistants"
    return f"{noun} of scale {', '.join(f'{scale:.4g}' for scale in schedule.assistants)}"


def weight(schedule: ScheduleRecord, between: str = " ") -> str:
    """The weight of the rule that chose, to be put behind the scheduler's name; empty where it has none."""
    if schedule.lam is not None:
        return f", lambda{between}{schedule.lam:.4g}"
    return "" if schedule.gap_weight is None else f", gap weight{between}{schedule.gap_weight:.4g}"


def _sureness(schedule: ScheduleRecord) -> list[str]:
    """How far the choice depends on lambda, and on which examples it was made by."""
    said = []
    if schedule.lambda_range is not None and schedule.lambda_range[0] is not None:
        low, high = schedule.lambda_range
        said.append(
            f"The choice is the same for any lambda from {low:.3g} on"
            if high is None
            else f"The choice is the same for lambda from {low:.3g} to {high:.3g}"
        )
    shares = {_taken(c): c.chosen_in for c in schedule.candidates if c.chosen_in and c.chosen_in >= _UNLIKELY}
    likely = sorted(shares, key=lambda name: -shares[name])
    if len(likely) > len(schedule.assistants):
        named = ", ".join(f"{name} in {shares[name]:.0%}" for name in likely[:_LIKELY])
        said.append(f"With other examples, as many, the choice would have been: {named}")
    return said


def _taken(candidate: Candidate) -> str:
    return "no assistant" if candidate.scale == 1 else f"{candidate.scale:.4g}"


def _interval(interval: tuple[float, float] | None) -> str:
    return NOTHING if interval is None else f"{score(interval[0])} - {score(interval[1])}"


def _metric_name(schedule: ScheduleRecord) -> str:
    owner = "student's " if schedule.measured_on == "student" else ""
    return owner + plain(schedule.metric)


def _choice(schedule: ScheduleRecord, candidate: Candidate) -> str:
    if not candidate.selected:
        return ""
    if candidate.scale == 1:  # the teacher, that took part
        return "no assistant"
    if len(schedule.assistants) < 2 or candidate.scale not in schedule.assistants:
        return "assistant"
    return f"assistant {schedule.assistants.index(candidate.scale) + 1}"
