"""Choose again from the recorded metrics of a run, with another lambda; nothing is trained."""

from __future__ import annotations

import os

from minidisc_plugin.contracts.records import ScheduleRecord, read_schedule
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.schedulers.candidates import judged, tradeoff_rule
from minidisc_plugin.selection import choose


def select_again(
    run_dir: str | os.PathLike[str], lam: float | None = None, assistants: int | None = None
) -> ScheduleRecord:
    """The schedule of a run, as it would be with another lambda or number of assistants.

    Args:
        run_dir: Output directory of a run.
        lam: Weight of sparsity, at least 0; the run's own when left out.
        assistants: How many to choose; as many as the run did when left out.

    Raises:
        RunDirectoryError: there is no schedule, or its scheduler does not choose by the tradeoff.
        ConfigError: lambda or the number of assistants is out of range.
    """
    record = read_schedule(run_dir)
    if record.lam is None:
        raise RunDirectoryError(
            f"{os.fspath(run_dir)}: scheduler {record.scheduler!r} does not choose by the tradeoff, "
            "so there is nothing to choose again; run with scheduler: minidisc"
        )
    lam = record.lam if lam is None else lam
    metrics = {c.scale: c.metric for c in record.candidates if c.metric is not None}
    count = len(record.assistants) if assistants is None else assistants
    chosen = choose(metrics, lam, record.target_scale, count)
    return record.model_copy(
        update={
            "lam": lam,
            "assistants": list(chosen),
            "candidates": [judged(candidate, lam, chosen) for candidate in record.candidates],
            "seconds": {},
            "rule": tradeoff_rule(record.metric, lam),
        }
    )
