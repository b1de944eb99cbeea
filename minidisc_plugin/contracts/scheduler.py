"""What a scheduler is: validated settings, a plan of stages, and one method that makes a schedule."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Required, TypedDict, Unpack

from pydantic import Field

from minidisc_plugin.contracts.records import Candidate, ScheduleRecord
from minidisc_plugin.contracts.values import Settings, Sparsity
from minidisc_plugin.contracts.workbench import Allocation

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, TrainingArguments

    from minidisc_plugin.contracts.config import EngineConfig
    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.contracts.workbench import Workbench

# The door that gathers what a script leaves out; it stands above the method, and so is known by name only.
_SCRIPT = "minidisc_plugin.run.script"
# In the name of a stage, before the scale of the one student whose own it is.
_OF = "-of-"
_OWNED = re.compile(rf"(.+){_OF}(0\.\d+|[\d.]+e-\d+)")


def stage_of(name: str, scale: float) -> str:
    """What a stage is called that is the own stage of one student among several, which has that scale."""
    return f"{name}{_OF}{scale:g}"


def owned(stage: str) -> tuple[str, str]:
    """A stage's name and its student's scale, as `stage_of` put them together; no scale where all students share it."""
    found = _OWNED.fullmatch(stage)
    return (found[1], found[2]) if found else (stage, "")


class ScriptInputs(TypedDict, total=False):
    """What a script hands to `Scheduler.schedule` beside the teacher.

    Attributes:
        train_dataset: Tokenised examples with `labels`.
        args: Of every training stage; `args.output_dir` holds the checkpoints.
        compute_metrics: As `Trainer` takes it.
        metric: The key of its result that selects.
        processing_class: The tokenizer; pads batches.
        eval_dataset: For early stopping, when `args` ask for it.
        selection_dataset: For importance and selection; carved from `train_dataset` when left out.
        selection_size: Share of `train_dataset` to carve, in (0, 1); 0.1 when left out.
        metric_range: Smallest and largest value of a metric that is not known by name.
        data_collator: As `Trainer` takes it.
        preprocess_logits_for_metrics: As `Trainer` takes it.
        objective: The distillation objective; the paper's when left out.
        engine: How stages spend their time; as the protocol `fast` says when left out.
        resume: Go on from checkpoints in `args.output_dir`.
    """

    train_dataset: Required[Dataset]
    args: Required[TrainingArguments]
    compute_metrics: Required[Callable[[Any], dict[str, float]]]
    metric: Required[str]
    processing_class: Any
    eval_dataset: Dataset | None
    selection_dataset: Dataset | None
    selection_size: float
    metric_range: tuple[float, float] | None
    data_collator: Any
    preprocess_logits_for_metrics: Callable[..., Any] | None
    objective: Objective | None
    engine: EngineConfig | None
    resume: bool


@dataclass
class Schedule:
    """What a scheduler decided.

    Attributes:
        assistants: Chosen teacher assistants as standalone models, from the largest to the smallest; may be empty.
        student: The student at the target scale, a slice of the last assistant (of the teacher without one).
        record: How it was chosen, as written to `schedule.json`.
        distilled: Whether the student was distilled to the end already.
    """

    assistants: list[PreTrainedModel]
    student: PreTrainedModel
    record: ScheduleRecord
    distilled: bool = False

    @property
    def assistant(self) -> PreTrainedModel | None:
        """The teacher assistant that the student is distilled from; None for a direct distillation."""
        return self.assistants[-1] if self.assistants else None

    @property
    def candidates(self) -> list[Candidate]:
        """One record per candidate."""
        return self.record.candidates


@dataclass(frozen=True)
class PlannedStage:
    """One training stage, as `minidisc plan` prices it.

    Attributes:
        name: Of the stage.
        teacher_scale: Scale of the model that is followed, 1 for the teacher itself.
        passes: Forward and backward passes a step, on average, by scale.
        beside_scale: Scale of a second model that is followed beside it, if any.
    """

    name: str
    teacher_scale: float
    passes: Mapping[float, float] = field(default_factory=dict)
    beside_scale: float | None = None

    def of(self, scale: float) -> PlannedStage:
        """The same where it is the own stage of one student among several, which has that scale."""
        return replace(self, name=stage_of(self.name, scale))

    @property
    def followed(self) -> set[float]:
        """Scales of all that is followed."""
        return {self.teacher_scale} if self.beside_scale is None else {self.teacher_scale, self.beside_scale}


class Scheduler(Settings, ABC):
    """Base of all schedulers: its fields are the keys of `scheduler_config`.

    A subclass sets `name`, and implements `stages` and `run`.
    """

    name: ClassVar[str]

    target_sparsity: Sparsity = Field(
        description="Share of heads and neurons that the student loses; `pruning.target_sparsity`."
    )
    allocation: Allocation = Field(
        "global",
        description="`global` keeps the most important heads and neurons of the whole model, as published; `uniform` "
        "keeps the same share of every layer, which a stock checkpoint can hold where the family's config can say so.",
    )

    @property
    def target_scale(self) -> float:
        """Share of heads and neurons that the student keeps."""
        return round(1.0 - self.target_sparsity, 6)

    @abstractmethod
    def candidate_scales(self) -> tuple[float, ...]:
        """Scales that will be tried, largest first; each strictly between the target and 1.

        Raises:
            ConfigError: a setting names a scale outside of it.
        """

    @abstractmethod
    def stages(self) -> list[PlannedStage]:
        """Training stages, the student's included."""

    @abstractmethod
    def run(self, bench: Workbench) -> Schedule:
        """Choose the assistants, with what the workbench offers."""

    def stages_each(self, students: Sequence[Scheduler]) -> list[PlannedStage]:
        """Training stages of several students together, those that `run_each` has; by default the stages of each.

        Args:
            students: See run_each.
        """
        return [stage.of(one.target_scale) for one in students for stage in one.stages()]

    def run_each(self, bench: Workbench, students: Sequence[Scheduler]) -> Callable[[Scheduler], Schedule]:
        """Do what several students share, and return what chooses the assistants of one of them.

        By default they share the ranking and the teacher's outputs, and nothing else.

        Args:
            bench: The means; `bench.of(scale)` has those stages that are one student's own.
            students: Schedulers with the same settings but for the student and its candidates, from the largest student
                to the smallest, which is this one's.

        Returns:
            Takes one of `students`, in any order, each once at most; a student is finished before the next is asked
            for, and some may never be.
        """
        return lambda one: one.run(bench.of(one.target_scale))

    def schedule(self, teacher: PreTrainedModel, **inputs: Unpack[ScriptInputs]) -> Schedule:
        """Choose the assistants in a script of one's own.

        Args:
            teacher: A fine-tuned model; its weights are left as they are.
            **inputs: See ScriptInputs.

        Raises:
            MinidiscError: a setting, the data, the metric or the model cannot be used.
        """
        made: Schedule = import_module(_SCRIPT).schedule(self, teacher, **inputs)
        return made

    def workbench(self, teacher: PreTrainedModel, **inputs: Unpack[ScriptInputs]) -> Workbench:
        """What `run` is given in a script, for a host that trains on with it once the assistants are chosen.

        Args:
            teacher: A fine-tuned model; its weights are left as they are.
            **inputs: See ScriptInputs.

        Raises:
            MinidiscError: a setting, the data, the metric or the model cannot be used.
        """
        bench: Workbench = import_module(_SCRIPT).workbench(self, teacher, **inputs)
        return bench
