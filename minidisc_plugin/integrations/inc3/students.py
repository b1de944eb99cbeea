"""Students of one teacher, finished when they are asked for; what several of them share is made once."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.config import EngineConfig
from minidisc_plugin.contracts.scheduler import Schedule, Scheduler
from minidisc_plugin.foundation.digests import digest_of_model
from minidisc_plugin.foundation.model_files.types import in_type, student_type, type_of
from minidisc_plugin.plugins.schedulers import decide
from minidisc_plugin.schedulers.minidisc import MiniDisc, Trained

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.workbench import Workbench
    from minidisc_plugin.integrations.inc3.trial import Trial

logger = logging.getLogger(__name__)

TEACHERS = "teachers"


def students_of(teacher: PreTrainedModel, schedulers: Sequence[Scheduler], trial: Trial) -> Students:
    """The students of a trial for a teacher and schedulers: those that were made before, where there are any.

    Args:
        teacher: Told apart from others by its weights, for Neural Compressor copies it.
        schedulers: One for each student.
        trial: Keeps them.
    """
    settings = sorted(f"{scheduler.name} {scheduler.model_dump_json(by_alias=True)}" for scheduler in schedulers)
    says = json.dumps([digest_of_model(teacher), settings])
    key = hashlib.sha256(says.encode()).hexdigest()[:16]
    students: Students | None = trial.students.get(key)
    if students is None:
        students = trial.students[key] = Students(teacher, schedulers, trial.inputs, key)
    return students


class Students:
    """Students of one teacher, in its type where that is one of half precision, whatever they are trained in.

    Those of `minidisc` share the ranking, one sandwich over all candidates and all students, and what is kept of the
    teachers' outputs; those of other schedulers share the last alone. Each is distilled by itself, from its own
    assistant.

    Args:
        teacher: Its weights are left as they are.
        schedulers: One for each student.
        inputs: See ScriptInputs.
        name: Of the folder in `args.output_dir` that has the checkpoints.
    """

    def __init__(
        self, teacher: PreTrainedModel, schedulers: Sequence[Scheduler], inputs: Mapping[str, Any], name: str
    ) -> None:
        # A model's own config takes notes of what it was used for.
        self._teacher = copy.copy(teacher)
        self._teacher.config = copy.deepcopy(teacher.config)
        vars(self._teacher).pop("is_quantized", None)  # a student of an earlier call: Trainer would refuse it
        self._schedulers = sorted(schedulers, key=lambda scheduler: -scheduler.target_sparsity)
        self._inputs = inputs
        self._folder = Path(str(inputs["args"].output_dir)) / name
        self._finished: dict[float, PreTrainedModel] = {}
        self._shared: tuple[Workbench, Trained] | None = None

    def student(self, scheduler: Scheduler) -> PreTrainedModel:
        """A copy of the student of one of the schedulers, which is trained when it is asked for first.

        Raises:
            MinidiscError: a setting, the data, the metric or the model cannot be used.
        """
        scale = scheduler.target_scale
        if scale not in self._finished:
            try:
                self._finished[scale] = self._make(scheduler)
            except BaseException:
                self._shared = None  # its stages have their names for good; another try begins with another workbench
                raise
        return copy.deepcopy(self._finished[scale])

    def _make(self, scheduler: Scheduler) -> PreTrainedModel:
        if type(scheduler) is MiniDisc and len(self._schedulers) > 1:
            bench, trained = self._sandwich()
            bench = bench.of(scheduler.target_scale)
            schedule = scheduler.choose(bench, trained)
        else:
            bench = self._bench(scheduler, f"{scheduler.target_scale:g}")
            schedule = decide(scheduler, bench)
        return in_type(_distilled(schedule, bench), student_type(type_of(self._teacher)))

    def _sandwich(self) -> tuple[Workbench, Trained]:
        """One network for all students."""
        if self._shared is None:
            first, *others = (scheduler for scheduler in self._schedulers if isinstance(scheduler, MiniDisc))
            bench = self._bench(first, "all")
            self._shared = bench, first.train(bench, others)
        return self._shared

    def _bench(self, scheduler: Scheduler, folder: str) -> Workbench:
        args = copy.copy(self._inputs["args"])
        engine = self._inputs.get("engine") or EngineConfig()
        if engine.teacher_cache_dir is None:
            engine = engine.model_copy(update={"teacher_cache_dir": str(Path(str(args.output_dir)) / TEACHERS)})
        args.output_dir = str(self._folder / folder)
        inputs: Any = {**self._inputs, "args": args, "engine": engine}
        return scheduler.workbench(self._teacher, **inputs)


def _distilled(schedule: Schedule, bench: Workbench) -> PreTrainedModel:
    """The student of a schedule, finished as a run finishes it."""
    record = schedule.record
    chosen = ", ".join(f"{scale:g}" for scale in record.assistants) or "none"
    logger.info("student of sparsity %g: assistants of scale %s", record.target_sparsity, chosen)
    if not schedule.distilled:
        bench.distil(schedule.student, schedule.assistant or bench.teacher, "student")
    return schedule.student.eval()
