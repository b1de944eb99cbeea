"""Models scored: by a Trainer on a split, all scales of a network in one pass, or whatever takes a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.schedulers.means import Data, Score
from minidisc_plugin.schedulers.resampling import Draws, Examined
from minidisc_plugin.training.arguments import for_stage

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from torch.utils.data import DataLoader
    from transformers import PreTrainedModel, Trainer, TrainingArguments

    from minidisc_plugin.contracts.task import Task
    from minidisc_plugin.nested.model import NestedModel


class Evaluator:
    """Scores models of one run.

    Args:
        teacher: The fine-tuned model; its outputs have the names that a metric reads.
        task: What it does.
        data: Of the run.
        score: How models are scored.
        args: Of every stage.
        trainer_arguments: See `means.trainer_arguments`.
    """

    def __init__(
        self,
        teacher: PreTrainedModel,
        task: Task,
        data: Data,
        score: Score,
        args: TrainingArguments,
        trainer_arguments: Mapping[str, Any],
    ) -> None:
        self.teacher = teacher
        self.task = task
        self.data = data
        self.score = score
        self.args = args
        self._trainer_arguments = trainer_arguments
        self._of_teacher: tuple[Any, Mapping[str, float]] | None = None  # a dataset, and what the teacher reaches on it

    def metric_of(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> float:
        """The metric of a model, on the selection split or on `dataset`, as the metric reports it."""
        found = self.trainer(model, stage, dataset).evaluate(metric_key_prefix="eval")
        return self._selecting(found, f"eval_{self.score.metric}")

    def metrics_of(self, nested: NestedModel, scales: Sequence[float], stage: str) -> list[float]:
        """The metric of each scale on the selection split, as the metric reports it, in one pass over the data."""
        from minidisc_plugin.training.scales_evaluation import ScalesEvaluator

        found = self._trainer(partial(ScalesEvaluator, nested, scales), stage, None).evaluate()
        return [self._selecting(found, f"eval_{self.score.metric}@{scale:g}") for scale in scales]

    def examine(
        self, nested: NestedModel, scales: Sequence[float], stage: str, student: float | None, draws: int
    ) -> Examined:
        """The metric of each scale, and what each example of the selection split says of it, in one pass over the data.

        Args:
            nested: The network.
            scales: Which to evaluate; what is beyond the network's largest is the teacher.
            stage: Name of the stage.
            student: Scale of the student, whose slice is compared with the others; None compares with none.
            draws: How often to draw the examples anew, see `Examined`.
        """
        from minidisc_plugin.training.examination import Examination

        regression = self.task.regression(self.teacher.config)
        make = partial(Examination, nested, scales, student, teacher=self.teacher, regression=regression)
        trainer = self._trainer(make, stage, None)
        found = trainer.evaluate()
        metrics = [self._selecting(found, f"eval_{self.score.metric}@{scale:g}") for scale in scales]
        drawn = Draws(len(trainer.losses), draws, self.args.seed)
        redrawn = [drawn.metrics(partial(self._redrawn, part, trainer.labels)) for part in trainer.predictions]
        return Examined(
            metrics,
            trainer.losses,
            trainer.gaps,
            [part for part in redrawn if part is not None] or None,
            drawn.means(trainer.losses),
            drawn.means(trainer.gaps),
        )

    def redrawn(self, model: PreTrainedModel, stage: str, dataset: Dataset, draws: int) -> tuple[float, list[float]]:
        """The metric of a model on a split, and on its examples drawn anew, the same for each model.

        Args:
            model: Any.
            stage: Name of the stage.
            dataset: The split.
            draws: How often.

        Returns:
            Both as the metric reports them; of draws none where rows of the split are no examples, and NaN for one that
            the metric is not defined for.
        """
        from minidisc_plugin.training.examination import ModelExamination

        trainer = self._trainer(partial(ModelExamination, model=model), stage, dataset)
        metric = self._selecting(trainer.evaluate(), f"eval_{self.score.metric}")
        found = trainer.found
        drawn = Draws(int(found.num_samples or 0), draws, self.args.seed)
        return metric, drawn.metrics(partial(self._redrawn, found.predictions, found.label_ids)) or []

    def _redrawn(self, predictions: Any, labels: Any, rows: NDArray[Any]) -> float | None:
        """The metric of some rows; None where rows are no examples, NaN where it is not defined for them."""
        from transformers import EvalPrediction

        prediction = self.task.redrawn(EvalPrediction(predictions, labels), rows)
        if prediction is None:
            return None
        try:
            return float(self.score.compute(prediction).get(self.score.metric, math.nan))
        except MetricError:  # of what was drawn, such as a single class
            return math.nan

    def scores_in_runtime(self, model: Any, dataset: Dataset) -> Mapping[str, float]:
        """All that is computed, in this process alone, of whatever takes a batch by name and gives outputs by name."""
        from minidisc_plugin.training.predictions import predict

        is_teacher = model is self.teacher
        if is_teacher and self._of_teacher is not None and self._of_teacher[0] is dataset:
            return self._of_teacher[1]  # it is in the report of each student
        batches = self.batches(dataset, self.args.per_device_eval_batch_size)
        predictions = predict(model, batches, self.task, self.teacher, self.score.reduce)
        computed = self.score.compute(predictions)
        found = {**computed, self.score.metric: float(computed[self.score.metric])}
        if is_teacher:
            self._of_teacher = dataset, found
        return found

    def batches(self, dataset: Dataset, size: int) -> DataLoader[Any]:
        """All examples of a dataset in order, `size` of them in a batch, whole in every process."""
        from torch.utils.data import DataLoader

        trainer = self.trainer(self.teacher, "batches", dataset)
        columns = trainer._remove_unused_columns(dataset, "evaluation")
        return DataLoader(columns, min(size, max(1, len(columns))), collate_fn=trainer.data_collator)

    def trainer(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> Trainer:
        """A plain Trainer that evaluates `model`, on the selection split unless told."""
        from minidisc_plugin.training.evaluation import TaskTrainer

        return self._trainer(partial(TaskTrainer, model=model), stage, dataset)

    def _trainer(self, make: Callable[..., Trainer], stage: str, dataset: Dataset | None) -> Trainer:
        arguments = {**self._trainer_arguments, "train_dataset": None}
        arguments["eval_dataset"] = self.data.selection if dataset is None else dataset
        trainer = make(args=for_stage(self.args, stage, arguments["eval_dataset"]), **arguments)
        trainer.is_fsdp_enabled = False  # accelerate shards what is trained only
        return trainer

    def _selecting(self, metrics: Mapping[str, float], key: str) -> float:
        if key not in metrics:
            computed = sorted({name.removeprefix("eval_").partition("@")[0] for name in metrics})
            raise MetricError(f"metric: {self.score.metric!r} is not computed; computed: {', '.join(computed)}")
        return float(metrics[key])
