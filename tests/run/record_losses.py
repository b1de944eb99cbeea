"""A script: make the schedule and the student of a config; write the loss of every pass, and the choice, as JSON.

python -m torch.distributed.run --nproc_per_node=2 -m tests.run.record_losses CONFIG OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from minidisc_plugin.foundation.processes import is_writer, mean_over_processes
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of
from minidisc_plugin.training.dependable import DependableTraining


def main() -> None:
    config, out = sys.argv[1:]
    losses: list[float] = []
    step = DependableTraining.training_step

    def recorded(trainer: Any, *args: Any, **kwargs: Any) -> Tensor:
        loss = step(trainer, *args, **kwargs)
        losses.append(mean_over_processes(loss).item())  # the trainer's log keeps four decimals only
        return loss

    DependableTraining.training_step = recorded  # type: ignore[method-assign]
    prepared = prepare(read_config(config), Path(out).parent / "checkpoints")
    bench = workbench_of(prepared)
    schedule = prepared.scheduler.run(bench)
    bench.distil(schedule.student, schedule.assistant or bench.teacher, "student")
    if is_writer():
        metrics = {f"{candidate.scale:g}": candidate.metric for candidate in schedule.candidates}
        found = {"losses": losses, "assistants": schedule.record.assistants, "metrics": metrics}
        Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
