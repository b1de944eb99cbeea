"""Choose again from what a run recorded, with another rule or weight; nothing is trained."""

from __future__ import annotations

import os

from minidisc_plugin.contracts.records import ScheduleRecord, read_schedule
from minidisc_plugin.contracts.rules import Rule
from minidisc_plugin.foundation.errors import ConfigError, RunDirectoryError
from minidisc_plugin.schedulers.choosing import criterion_of, reasons, settle
from minidisc_plugin.selection import TEACHER, Criterion


def select_again(
    run_dir: str | os.PathLike[str],
    lam: float | None = None,
    assistants: int | None = None,
    rule: Rule | None = None,
    gap_weight: float | None = None,
) -> ScheduleRecord:
    """The schedule of a run, as it would be with another rule, weight or number of assistants.

    Candidates that were dropped in training take no part.

    Args:
        run_dir: Output directory of a run.
        lam: Weight of sparsity, at least 0; the run's own, or 0.2, when left out.
        assistants: How many to choose; as many as the run did when left out.
        rule: By what to choose; the run's own when left out.
        gap_weight: Weight of the divergence in the rule `gap`; the run's own, or 1, when left out.

    Raises:
        RunDirectoryError: there is no schedule, or its scheduler does not choose by a rule.
        ConfigError: a weight or the number of assistants is out of range, or the rule has no such weight.
        MetricError: the run did not measure what the rule needs.
    """
    record = read_schedule(run_dir)
    own = criterion_of(record)
    if own is None:
        raise RunDirectoryError(
            f"{os.fspath(run_dir)}: scheduler {record.scheduler!r} does not choose by a rule, "
            "so there is nothing to choose again; run with scheduler: minidisc"
        )
    rule = rule or own.rule
    for weight, name, needed in ((lam, "lambda", "lambda"), (gap_weight, "gap weight", "gap")):
        if weight is not None and rule != needed:
            raise ConfigError(f"the {name} does nothing in the rule {rule!r}; leave it out, or choose by {needed!r}")
    criterion = Criterion(rule, own.lam if lam is None else lam, own.gap_weight if gap_weight is None else gap_weight)
    teacher = any(candidate.selected and candidate.scale == TEACHER for candidate in record.candidates)
    count = max(1, len(record.assistants) + teacher) if assistants is None else assistants
    candidates = settle(record.candidates, criterion, record.target_scale, count)
    return record.model_copy(
        update={
            **reasons(candidates, criterion, record.metric),
            "assistants": [
                candidate.scale for candidate in candidates if candidate.selected and candidate.scale != TEACHER
            ],
            "candidates": candidates,
            "seconds": {},
        }
    )
