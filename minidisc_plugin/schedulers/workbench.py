"""What a scheduler works with: a ranked network, training, distillation and evaluation, all resumable."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.atomic import atomic_path
from minidisc_plugin.errors import MetricError
from minidisc_plugin.nested.model import Allocation, NestedModel
from minidisc_plugin.nested.ranking import Ranking
from minidisc_plugin.plugins import event
from minidisc_plugin.processes import is_writer
from minidisc_plugin.protocol import FAST_ENGINE
from minidisc_plugin.reporting.records import Candidate
from minidisc_plugin.schedulers.journal import Journal
from minidisc_plugin.schedulers.stage import Stage, Stages
from minidisc_plugin.selection import MetricRange, to_unit
from minidisc_plugin.tasks import task_of_model
from minidisc_plugin.training.arguments import evaluates, for_stage, tokenizer_argument

if TYPE_CHECKING:
    from datasets import Dataset
    from torch.utils.data import DataLoader
    from transformers import PreTrainedModel, Trainer, TrainingArguments

    from minidisc_plugin.config import EngineConfig
    from minidisc_plugin.tasks import Task
    from minidisc_plugin.training.objectives import Objective
    from minidisc_plugin.training.scale_sampler import ScaleSampler
    from minidisc_plugin.training.teacher_cache import TeacherCache
    from minidisc_plugin.training.teacher_store import Examples, TeacherStore

logger = logging.getLogger(__name__)


class Workbench:
    """The means of one run; a scheduler composes them and never learns which host called it.

    Args:
        teacher: The fine-tuned model.
        train_dataset: Tokenised examples with `labels`, without those of `selection_dataset`.
        selection_dataset: Labelled examples for importance and selection.
        validation_dataset: Examples for early stopping, or None.
        args: Arguments of every training stage.
        compute_metrics: As `Trainer` takes it.
        metric: The key of its result that selects.
        metric_range: Smallest and largest value of the metric, when it is not known by name.
        processing_class: The tokenizer.
        data_collator: As `Trainer` takes it.
        preprocess_logits_for_metrics: As `Trainer` takes it.
        make_distiller: Makes the Trainer of a standalone student: takes the student, and the arguments of
            DistillationTrainer by name.
        objective: The distillation objective.
        allocation: See NestedModel.
        engine: How stages spend their time; the preset `fast` when left out.
        task: What the teacher does; told by its class when left out.
        resume: Go on from what `args.output_dir` holds.
        callbacks: As `Trainer` takes them, for every training stage.
    """

    def __init__(
        self,
        *,
        teacher: PreTrainedModel,
        train_dataset: Dataset,
        selection_dataset: Dataset,
        validation_dataset: Dataset | None,
        args: TrainingArguments,
        compute_metrics: Callable[[Any], dict[str, float]],
        metric: str,
        objective: Objective,
        metric_range: tuple[float, float] | None = None,
        processing_class: Any = None,
        data_collator: Any = None,
        preprocess_logits_for_metrics: Callable[..., Any] | None = None,
        make_distiller: Callable[..., Trainer] | None = None,
        allocation: Allocation = "global",
        engine: EngineConfig | None = None,
        task: Task | None = None,
        resume: bool = False,
        callbacks: Sequence[Any] = (),
    ) -> None:
        self.teacher = teacher
        # Its order is nobody's concern, and batches of similar length pad little.
        from minidisc_plugin.training.batches import sorted_by_length

        self.selection_dataset = sorted_by_length(selection_dataset)
        self.args = args
        self.metric = metric
        self.allocation: Allocation = allocation
        self.metric_range = MetricRange(*metric_range) if metric_range else None
        self.resume = resume
        self.folder = Path(str(args.output_dir))
        self.journal = Journal(self.folder, resume=resume)
        self.task = task or task_of_model(teacher)
        self.engine = engine or FAST_ENGINE
        self._objective = objective
        if validation_dataset is None and evaluates(args):
            validation_dataset = self.selection_dataset
        self._trainer_arguments: dict[str, Any] = {
            "train_dataset": train_dataset,
            "eval_dataset": validation_dataset,
            "compute_metrics": compute_metrics,
            tokenizer_argument(): processing_class,
            "data_collator": data_collator,
            "preprocess_logits_for_metrics": preprocess_logits_for_metrics,
        }
        self._make_distiller = make_distiller
        self.stages = Stages(
            args=args,
            journal=self.journal,
            resume=resume,
            objective=objective,
            engine=self.engine,
            callbacks=callbacks,
            trainer_arguments=self._trainer_arguments,
            teacher_cache=self._teacher_cache,
        )

    def ranked_network(self) -> NestedModel:
        """A new nested network over a copy of the teacher, ranked by importance on the selection split."""
        from safetensors.torch import load_file, save_file

        nested = NestedModel(copy.deepcopy(self.teacher), allocation=self.allocation)
        file = self.folder / "ranking.safetensors"
        if self.journal.finished("importance"):
            self.journal.verify("importance")
            nested.apply_ranking(Ranking.from_tensors(load_file(file)))
            return nested
        logger.info("importance of heads and neurons on %d examples", len(self.selection_dataset))
        with self.journal.stage("importance", files=[file]):
            ranking = self.rank(nested)
            if is_writer():
                self.folder.mkdir(parents=True, exist_ok=True)
                with atomic_path(file) as temporary:
                    save_file(
                        {name: value.clone().contiguous() for name, value in ranking.tensors().items()}, temporary
                    )
        return nested

    def rank(self, nested: NestedModel) -> Ranking:
        """Rank a network by importance on the selection split."""
        from tqdm.auto import tqdm

        quiet = self.args.disable_tqdm or not is_writer()
        nested.model.to(self.args.device)
        # Activations are kept for the backward pass, as in training: batches of that size.
        loader = self._batches(self.selection_dataset, self.args.per_device_train_batch_size)
        batches = (self.task.labelled(batch) for batch in loader)
        return nested.rank(tqdm(batches, "importance", len(loader), disable=quiet, leave=False))

    def specify(self, scheduler: str, nested: NestedModel, scales: Sequence[float]) -> list[Candidate]:
        """Candidate records without metrics, announced to plug-ins."""
        candidates = nested.describe(scales)
        event("minidisc_candidates_specified", scheduler=scheduler, candidates=candidates)
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
        """Train the scales of a nested network together against a frozen teacher.

        Args:
            nested: The network, trimmed to what will be used.
            scales: Scales that share it.
            teacher: The model to follow.
            stage: Name of the stage; its checkpoints live in a folder of that name.
            sampler: Which of the scales a step trains; all when left out.
            callbacks: As `Trainer` takes them, beside those of every stage.
        """
        self.stages.run(self._nested_stage(nested, scales, teacher, stage, sampler, callbacks))

    def distil(self, student: PreTrainedModel, teacher: PreTrainedModel, stage: str) -> None:
        """Distil a standalone model from a frozen teacher, in place."""
        self.stages.run(self._standalone_stage(student, teacher, stage))

    def rehearse(self) -> None:
        """Make the Trainer of a nested network and that of a standalone student, train nothing and keep nothing.

        Raises:
            Exception: of whatever kind the library has that cannot make its part.
        """
        from minidisc_plugin.schedulers.rehearsal import rehearse, twin

        teacher = twin(self.teacher)
        nested = NestedModel(twin(self.teacher), allocation=self.allocation)
        rehearse(self.stages, self._nested_stage(nested, [nested.scale], teacher, "rehearsal"))
        rehearse(self.stages, self._standalone_stage(twin(self.teacher), teacher, "rehearsal"))

    def _nested_stage(
        self,
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

    def _standalone_stage(self, student: PreTrainedModel, teacher: PreTrainedModel, stage: str) -> Stage:
        from minidisc_plugin.training.distil import DistillationTrainer

        return Stage(stage, student, teacher, self._make_distiller or DistillationTrainer)

    def evaluate(
        self, nested: NestedModel, candidates: Sequence[Candidate], scheduler: str, stage: str = "selection"
    ) -> list[Candidate]:
        """Candidates with their metric on the selection split, raw and in [0, 1]; announced to plug-ins.

        Raises:
            MetricError: the metric is not among those computed, or cannot be brought to [0, 1].
            PluginFailedError: the run had a stage of that name.
        """
        self.stages.claim(stage)
        if not self.journal.finished(stage):
            with self.journal.stage(stage) as result:
                logger.info("metric of %d candidates on %d examples", len(candidates), len(self.selection_dataset))
                scales = [candidate.scale for candidate in candidates]
                metrics = self.metrics_of(nested, scales, stage)
                result.update({f"{scale:g}": metric for scale, metric in zip(scales, metrics, strict=True)})
        found = self.journal.result(stage)
        return self.record_metrics(candidates, [found[f"{c.scale:g}"] for c in candidates], scheduler)

    def record_metrics(self, candidates: Sequence[Candidate], raw: Sequence[float], scheduler: str) -> list[Candidate]:
        """Candidates with raw metrics and the same in [0, 1]; announced to plug-ins."""
        unit = to_unit(list(raw), self.metric, self.metric_range)
        evaluated = [
            Candidate.model_validate({**candidate.model_dump(), "raw_metric": raw_value, "metric": value})
            for candidate, raw_value, value in zip(candidates, raw, unit, strict=True)
        ]
        for candidate in evaluated:
            event("minidisc_candidate_evaluated", scheduler=scheduler, candidate=candidate)
        return evaluated

    def metric_of(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> float:
        """The metric of a model, on the selection split or on `dataset`, as the metric reports it."""
        found = self.evaluator(model, stage, dataset).evaluate(metric_key_prefix="eval")
        return self._selecting(found, f"eval_{self.metric}")

    def metrics_of(self, nested: NestedModel, scales: Sequence[float], stage: str) -> list[float]:
        """The metric of each scale on the selection split, as the metric reports it, in one pass over the data."""
        from minidisc_plugin.training.scales_evaluation import ScalesEvaluator

        found = self._evaluator(partial(ScalesEvaluator, nested, scales), stage, None).evaluate()
        return [self._selecting(found, f"eval_{self.metric}@{scale:g}") for scale in scales]

    def _selecting(self, metrics: Mapping[str, float], key: str) -> float:
        if key not in metrics:
            computed = sorted({name.removeprefix("eval_").partition("@")[0] for name in metrics})
            raise MetricError(f"metric: {self.metric!r} is not computed; computed: {', '.join(computed)}")
        return float(metrics[key])

    def metric_in_runtime(self, model: Any, dataset: Dataset) -> float:
        """The metric, in this process alone, of whatever takes a batch by name and returns its outputs by name."""
        from minidisc_plugin.training.predictions import predict

        batches = self._batches(dataset, self.args.per_device_eval_batch_size)
        reduce = self._trainer_arguments["preprocess_logits_for_metrics"]
        metrics = self._trainer_arguments["compute_metrics"](predict(model, batches, self.task, self.teacher, reduce))
        return float(metrics[self.metric])

    def _batches(self, dataset: Dataset, size: int) -> DataLoader[Any]:
        """All examples of a dataset in order, `size` of them in a batch, whole in every process."""
        from torch.utils.data import DataLoader

        trainer = self.evaluator(self.teacher, "batches", dataset)
        columns = trainer._remove_unused_columns(dataset, "evaluation")
        return DataLoader(columns, size, collate_fn=trainer.data_collator)

    def evaluator(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> Trainer:
        """A plain Trainer that evaluates `model`, on the selection split unless told."""
        from minidisc_plugin.training.evaluation import TaskTrainer

        return self._evaluator(partial(TaskTrainer, model=model), stage, dataset)

    def _evaluator(self, make: Callable[..., Trainer], stage: str, dataset: Dataset | None) -> Trainer:
        arguments = {**self._trainer_arguments, "train_dataset": None}
        arguments["eval_dataset"] = self.selection_dataset if dataset is None else dataset
        trainer = make(args=for_stage(self.args, stage), **arguments)
        trainer.is_fsdp_enabled = False  # accelerate shards what is trained only
        return trainer

    def teacher_cache_bytes(self) -> int:
        """Bytes on disk that the outputs of one teacher take; 0 where they are not kept."""
        store, examples = self._store(), self._cached_examples(self.teacher, "batches")
        return 0 if examples is None else store.size(self.teacher, examples, **self._kept)

    def _teacher_cache(self, teacher: PreTrainedModel, stage: str, goes_on: bool) -> TeacherCache | None:
        """The teacher's outputs for the training set, where they save more than they cost.

        A stage that goes on keeps to what its first steps did: kept outputs are not the teacher's to the last bit.
        """
        name = f"{stage}-teacher"
        had = self.journal.result(name).get("cached") if goes_on and self.journal.finished(name) else None
        examples = self._cached_examples(teacher, stage) if had is not False else None
        if examples is None:
            return None
        with self.journal.stage(name) as result:
            cache = self._store().cache(
                teacher.to(self.args.device).eval(),
                examples,
                **self._kept,
                required=self.engine.teacher_cache is True or had is True,
                quiet=self.args.disable_tqdm or not is_writer(),
            )
            result["cached"] = cache is not None
        return cache

    def _store(self) -> TeacherStore:
        from minidisc_plugin.training.teacher_store import TeacherStore

        folder = Path(self.engine.teacher_cache_dir or self.folder / "teachers")
        return TeacherStore(folder, self.engine.teacher_cache_gib * 2**30)

    def _cached_examples(self, teacher: PreTrainedModel, stage: str) -> Examples | None:
        """The training set as a teacher is given it, where its outputs are to be kept."""
        from minidisc_plugin.training.teacher_store import Examples, reads_cache

        dataset = self._trainer_arguments["train_dataset"]
        if not reads_cache(self.engine.teacher_cache, self.args, len(dataset)):
            return None
        trainer = self.evaluator(teacher, stage, dataset)
        columns = trainer._remove_unused_columns(dataset, "training")
        return Examples(columns, trainer.data_collator, self.args.per_device_eval_batch_size, self.task)

    @property
    def _kept(self) -> dict[str, Any]:
        """Which outputs are kept."""
        return {"states": self._objective.needs_hidden_states, "compared": self._objective.compared_states}
