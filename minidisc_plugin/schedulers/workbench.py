"""What a scheduler works with: ranking, training, distillation and evaluation in the words of the method."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.workbench import Announce, to_nobody
from minidisc_plugin.schedulers.choosing import with_scores
from minidisc_plugin.schedulers.evaluator import Evaluator
from minidisc_plugin.schedulers.journal import Journal
from minidisc_plugin.schedulers.means import Data, Score, Training, trainer_arguments
from minidisc_plugin.schedulers.ranker import Ranker
from minidisc_plugin.schedulers.resampling import DRAWS
from minidisc_plugin.schedulers.stage import Stage, Stages
from minidisc_plugin.schedulers.teacher_outputs import TeacherOutputs
from minidisc_plugin.selection import MetricRange, range_of

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer, TrainingArguments

    from minidisc_plugin.contracts.config import EngineConfig
    from minidisc_plugin.contracts.records import Candidate
    from minidisc_plugin.contracts.task import Task
    from minidisc_plugin.contracts.values import Guide
    from minidisc_plugin.nested.model import NestedModel
    from minidisc_plugin.nested.ranking import Ranking
    from minidisc_plugin.training.scale_sampler import ScaleSampler

logger = logging.getLogger(__name__)


class Workbench:
    """The means of one run; see `contracts.workbench.Workbench`.

    Args:
        teacher: The fine-tuned model.
        network: Makes a nested network over a model, which it takes over.
        task: What the teacher does.
        data: Examples.
        score: How models are scored.
        training: How stages train.
        announce: Tells plug-ins an event.
    """

    def __init__(
        self,
        teacher: PreTrainedModel,
        network: Callable[[PreTrainedModel], NestedModel],
        task: Task,
        data: Data,
        score: Score,
        training: Training,
        announce: Announce = to_nobody,
    ) -> None:
        self.teacher = teacher
        self.task = task
        self.announce = announce
        self.training = training
        self.journal = Journal(Path(str(training.args.output_dir)), resume=training.resume, announce=announce)
        arguments = trainer_arguments(data, score, training.args)
        self._evaluator = Evaluator(teacher, task, data, score, training.args, arguments)
        self._ranker = Ranker(network, self._evaluator, self.journal)
        self._outputs = TeacherOutputs(training, self._evaluator, self.journal)
        self.stages = Stages(training, self.journal, arguments, self._outputs, data.pool.drawn)

    def of(self, scale: float) -> Workbench:
        """The same means for one of several students; see the contract."""
        own = copy.copy(self)
        own.journal, own.stages = self.journal.of(scale), self.stages.of(scale)
        return own

    @property
    def args(self) -> TrainingArguments:
        """Arguments of every training stage."""
        return self.training.args

    @property
    def engine(self) -> EngineConfig:
        """How stages spend their time."""
        return self.training.engine

    @property
    def folder(self) -> Path:
        """Root of the checkpoints."""
        return self.journal.folder

    @property
    def resume(self) -> bool:
        """Whether this run goes on with an earlier one."""
        return self.training.resume

    @property
    def metric(self) -> str:
        """Name of the metric that selects."""
        return self._evaluator.score.metric

    @property
    def guide(self) -> Guide:
        """What a student follows once there is an assistant."""
        return self.training.objective.settings.guide

    @property
    def metric_range(self) -> MetricRange | None:
        """Its declared range."""
        return self._evaluator.score.range

    @property
    def selection_dataset(self) -> Dataset:
        """Labelled examples that train nothing."""
        return self._evaluator.data.selection

    def ranked_network(self) -> NestedModel:
        """A new nested network over a copy of the teacher, ranked by importance on the selection split."""
        return self._ranker.ranked_network()

    def rank(self, nested: NestedModel) -> Ranking:
        """Rank a network by importance on the selection split."""
        return self._ranker.rank(nested)

    def specify(self, scheduler: str, nested: NestedModel, scales: Sequence[float]) -> list[Candidate]:
        """Candidate records without metrics, announced to plug-ins."""
        candidates = nested.describe(scales)
        self.announce("minidisc_candidates_specified", scheduler=scheduler, candidates=candidates)
        return candidates

    def train(
        self,
        nested: NestedModel,
        scales: Sequence[float],
        teacher: PreTrainedModel,
        stage: str,
        sampler: ScaleSampler | None = None,
        callbacks: Sequence[Any] = (),
    ) -> None:
        """Train the scales of a nested network together against a frozen teacher; see the contract."""
        self.stages.run(_sandwich(nested, scales, teacher, stage, sampler, callbacks))

    def distil(self, student: PreTrainedModel, teacher: PreTrainedModel, stage: str) -> None:
        """Distil a standalone model from a frozen teacher, or as `distillation.guide` says, in place."""
        self.stages.run(self._distillation(student, teacher, stage))

    def rehearse(self) -> None:
        """Make the Trainer of a nested network and that of a standalone student, train nothing and keep nothing.

        Raises:
            Exception: of whatever kind the library has that cannot make its part.
        """
        from minidisc_plugin.schedulers.rehearsal import rehearse, twin

        teacher = twin(self.teacher)
        nested = self._ranker.network(twin(self.teacher))
        rehearse(self.stages, _sandwich(nested, [nested.scale], teacher, "rehearsal"))
        rehearse(self.stages, self._distillation(twin(self.teacher), teacher, "rehearsal"))

    def evaluate(
        self,
        nested: NestedModel,
        candidates: Sequence[Candidate],
        scheduler: str,
        stage: str = "selection",
        student: float | None = None,
    ) -> list[Candidate]:
        """Candidates with what the selection split says of them; announced to plug-ins. See the contract.

        Raises:
            MetricError: the metric is not among those computed, or cannot be brought to [0, 1].
            PluginFailedError: the run had a stage of that name.
        """
        self.stages.claim(stage)
        if not self.journal.finished(stage):
            with self.journal.stage(stage) as result:
                logger.info("metric of %d candidates on %d examples", len(candidates), len(self.selection_dataset))
                scales = [candidate.scale for candidate in candidates]
                examined = self._evaluator.examine(nested, scales, stage, student, DRAWS)
                result.update({f"{scale:g}": found for scale, found in zip(scales, examined.by_scale(), strict=True)})
        kept = self.journal.result(stage)
        found = [kept[f"{candidate.scale:g}"] for candidate in candidates]
        # A run that an earlier release began kept the metric alone.
        found = [one if isinstance(one, dict) else {"metric": one} for one in found]
        return self._recorded(candidates, found, scheduler)

    def record_metrics(self, candidates: Sequence[Candidate], raw: Sequence[float], scheduler: str) -> list[Candidate]:
        """Candidates with raw metrics and the same in [0, 1]; announced to plug-ins."""
        return self._recorded(candidates, [{"metric": value} for value in raw], scheduler)

    def _recorded(
        self, candidates: Sequence[Candidate], found: Sequence[Mapping[str, Any]], scheduler: str
    ) -> list[Candidate]:
        evaluated = with_scores(candidates, found, lambda metrics: range_of(metrics, self.metric, self.metric_range))
        for candidate in evaluated:
            self.announce("minidisc_candidate_evaluated", scheduler=scheduler, candidate=candidate)
        return evaluated

    def metric_of(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> float:
        """The metric of a model, on the selection split or on `dataset`, as the metric reports it."""
        return self._evaluator.metric_of(model, stage, dataset)

    def metrics_of(self, nested: NestedModel, scales: Sequence[float], stage: str) -> list[float]:
        """The metric of each scale on the selection split, as the metric reports it, in one pass over the data."""
        return self._evaluator.metrics_of(nested, scales, stage)

    def redrawn(self, model: PreTrainedModel, stage: str, dataset: Dataset) -> tuple[float, list[float]]:
        """The metric of a model on a split, and of each draw of a paired bootstrap; see the contract."""
        self.stages.claim(stage)
        if not self.journal.finished(stage):
            with self.journal.stage(stage) as result:
                result["metric"], result["resampled"] = self._evaluator.redrawn(model, stage, dataset, DRAWS)
        found = self.journal.result(stage)
        return found["metric"], found["resampled"]

    def metric_in_runtime(self, model: Any, dataset: Dataset) -> float:
        """The metric, in this process alone, of whatever takes a batch by name and returns its outputs by name."""
        return self.scores_in_runtime(model, dataset)[self.metric]

    def scores_in_runtime(self, model: Any, dataset: Dataset) -> Mapping[str, float]:
        """The same, and what else is computed with it, by name."""
        return self._evaluator.scores_in_runtime(model, dataset)

    def evaluator(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> Trainer:
        """A plain Trainer that evaluates `model`, on the selection split unless told."""
        return self._evaluator.trainer(model, stage, dataset)

    def teacher_cache_bytes(self) -> int:
        """Bytes on disk that the outputs of one teacher take; 0 where they are not kept."""
        return self._outputs.bytes()

    def _distillation(self, student: PreTrainedModel, teacher: PreTrainedModel, stage: str) -> Stage:
        from minidisc_plugin.training.distil import DistillationTrainer

        leader = teacher if self.guide == "assistant" else self.teacher
        beside = teacher if self.guide == "both" and teacher is not self.teacher else None
        return Stage(stage, student, leader, self.training.make_distiller or DistillationTrainer, beside=beside)


def _sandwich(
    nested: NestedModel,
    scales: Sequence[float],
    teacher: PreTrainedModel,
    stage: str,
    sampler: ScaleSampler | None = None,
    callbacks: Sequence[Any] = (),
) -> Stage:
    from minidisc_plugin.training.sandwich import SandwichTrainer
    from minidisc_plugin.training.scale_sampler import ScaleSampler

    make = partial(SandwichTrainer, sampler=sampler or ScaleSampler(scales))
    return Stage(stage, nested, teacher, make, callbacks)
