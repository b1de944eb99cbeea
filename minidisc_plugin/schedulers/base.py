"""The protocol of schedulers: validated settings, a plan of stages, and one method that makes a schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from minidisc_plugin.reporting.records import Candidate, ScheduleRecord
from minidisc_plugin.values import Settings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, TrainingArguments

    from minidisc_plugin.config import EngineConfig
    from minidisc_plugin.schedulers.workbench import Workbench
    from minidisc_plugin.training.objectives import Objective


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
    """

    name: str
    teacher_scale: float
    passes: Mapping[float, float] = field(default_factory=dict)


class Scheduler(Settings, ABC):
    """Base of all schedulers: its fields are the keys of `scheduler_config`.

    A subclass sets `name`, and implements `stages` and `run`.
    """

    name: ClassVar[str]

    target_sparsity: float = Field(
        gt=0, lt=1, description="Share of heads and neurons that the student loses; `pruning.target_sparsity`."
    )
    allocation: Literal["global", "uniform"] = Field(
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

    def schedule(
        self,
        teacher: PreTrainedModel,
        *,
        train_dataset: Dataset,
        args: TrainingArguments,
        compute_metrics: Callable[[Any], dict[str, float]],
        metric: str,
        processing_class: Any = None,
        eval_dataset: Dataset | None = None,
        selection_dataset: Dataset | None = None,
        selection_size: float = 0.1,
        metric_range: tuple[float, float] | None = None,
        data_collator: Any = None,
        preprocess_logits_for_metrics: Callable[..., Any] | None = None,
        objective: Objective | None = None,
        engine: EngineConfig | None = None,
        resume: bool = False,
    ) -> Schedule:
        """Choose the assistants in a script of one's own.

        Args:
            teacher: A fine-tuned model; its weights are left as they are.
            train_dataset: Tokenised examples with `labels`.
            args: Of every training stage; `args.output_dir` holds the checkpoints.
            compute_metrics: As `Trainer` takes it.
            metric: The key of its result that selects.
            processing_class: The tokenizer; pads batches.
            eval_dataset: For early stopping, when `args` ask for it.
            selection_dataset: For importance and selection; carved from `train_dataset` when left out.
            selection_size: Share of `train_dataset` to carve, in (0, 1).
            metric_range: Smallest and largest value of a metric that is not known by name.
            data_collator: As `Trainer` takes it.
            preprocess_logits_for_metrics: As `Trainer` takes it.
            objective: The distillation objective; the paper's when left out.
            engine: How stages spend their time; as the protocol `fast` says when left out.
            resume: Go on from checkpoints in `args.output_dir`.

        Raises:
            MinidiscError: a setting, the data, the metric or the model cannot be used.
        """
        from minidisc_plugin.protocol import engine_of
        from minidisc_plugin.schedulers.checked import decide, scales_of
        from minidisc_plugin.schedulers.workbench import Workbench
        from minidisc_plugin.splits import carve

        scales_of(self)
        if selection_dataset is None:
            train_dataset, selection_dataset = carve(train_dataset, selection_size, args.seed)
        bench = Workbench(
            teacher=teacher,
            train_dataset=train_dataset,
            selection_dataset=selection_dataset,
            validation_dataset=eval_dataset,
            args=args,
            compute_metrics=compute_metrics,
            metric=metric,
            metric_range=metric_range,
            processing_class=processing_class,
            data_collator=data_collator,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
            objective=objective or _default_objective(teacher),
            allocation=self.allocation,
            engine=engine and engine_of(engine, "fast"),
            resume=resume,
        )
        return decide(self, bench)


def _default_objective(teacher: PreTrainedModel) -> Objective:
    """The paper's objective, for the task that the teacher's config tells."""
    from minidisc_plugin.config import DistillationConfig
    from minidisc_plugin.tasks import task_of_model
    from minidisc_plugin.training.objectives import MiniDiscObjective

    return MiniDiscObjective(DistillationConfig(), regression=task_of_model(teacher).regression(teacher.config))
