"""What a scheduler works with: the words in which it composes ranking, training, distillation and evaluation.

Each stage needs a name of its own: checkpoints and results are kept under it, which is what makes a run resumable
without any code in the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer, TrainingArguments

    from minidisc_plugin.contracts.config import EngineConfig
    from minidisc_plugin.contracts.records import Candidate
    from minidisc_plugin.contracts.task import Task
    from minidisc_plugin.contracts.values import Guide

Allocation = Literal["global", "uniform"]
Announce = Callable[..., None]
"""Tells an event to whoever listens: the name of its hook, and the hook's arguments by name."""


def to_nobody(name: str, **arguments: Any) -> None:
    """Tell an event to nobody."""


class NestedNetwork(Protocol):
    """The teacher's copy whose every scale is a prefix slice of the same parameters; `nn.Module` besides.

    Attributes:
        model: What holds the weights.
        scale: Of the following forward passes.
        largest_scale: What it was trimmed to.
    """

    model: PreTrainedModel
    scale: float
    largest_scale: float

    def set_scale(self, scale: float) -> None:
        """Make the following forward passes use the slice at `scale`, in (0, 1]; no weight is copied."""

    def trim(self, scale: float) -> None:
        """Drop the weights that no scale up to `scale` uses."""

    def extract(self, scale: float) -> PreTrainedModel:
        """A standalone model with the weights, and the logits, of the slice at `scale`."""

    def describe(self, scales: Iterable[float]) -> list[Candidate]:
        """Records of the slices at `scales`: sizes per layer and parameters, no metric."""

    def sizes(self, scale: float) -> tuple[list[int], list[int]]:
        """Units of heads, and neurons, of every place at `scale`."""

    def parameter_counts(self, scale: float) -> tuple[int, int]:
        """Parameters of the slice at `scale`: of the whole model, and of its layers alone."""


class StageJournal(Protocol):
    """Which stages of a run are finished, and what they found."""

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of every finished stage; they sum to the whole."""

    def finished(self, stage: str) -> bool:
        """Whether a stage ended."""

    def result(self, stage: str) -> dict[str, Any]:
        """What a finished stage left."""

    def verify(self, stage: str) -> None:
        """Compare the files of a finished stage with their checksums.

        Raises:
            RunDirectoryError: names the one that is missing or damaged.
        """

    def stage(self, name: str, files: Iterable[Path] = ()) -> AbstractContextManager[dict[str, Any]]:
        """Time a stage and record it as finished when the block ends well; the dictionary is its result."""


class Workbench(Protocol):
    """The means of one run; a scheduler composes them and never learns which host called it.

    What is called `nested` is a network that `ranked_network` gave.

    Attributes:
        teacher: The fine-tuned model, never changed.
        task: What the teacher does: labels, masks and metrics of its task.
        announce: Tells plug-ins an event.
        stages: Trains the stages; `claim(name)` takes the name of one that a scheduler keeps under it itself.
    """

    teacher: PreTrainedModel
    task: Task
    announce: Announce
    stages: Any

    def of(self, scale: float) -> Workbench:
        """The same means for one of several students: stages that it names are those of the student of that scale."""

    @property
    def journal(self) -> StageJournal:
        """Finished stages."""

    @property
    def args(self) -> TrainingArguments:
        """Arguments of every training stage."""

    @property
    def engine(self) -> EngineConfig:
        """The section `engine` of the config: cache, padding, dropout."""

    @property
    def folder(self) -> Path:
        """Root of the checkpoints."""

    @property
    def resume(self) -> bool:
        """Whether this run goes on with an earlier one."""

    @property
    def metric(self) -> str:
        """Name of the metric that selects."""

    @property
    def guide(self) -> Guide:
        """What `distil` makes a student follow that is given an assistant; `distillation.guide`."""

    @property
    def metric_range(self) -> Any:
        """Its declared `MetricRange`; None where it is known by name."""

    @property
    def selection_dataset(self) -> Dataset:
        """Labelled examples that train nothing."""

    def ranked_network(self) -> NestedNetwork:
        """A new nested network over a copy of the teacher, ranked by importance on the selection split."""

    def rank(self, nested: Any) -> Any:
        """The ranking alone, of a network that is not ranked."""

    def specify(self, scheduler: str, nested: Any, scales: Sequence[float]) -> list[Candidate]:
        """Candidate records without metrics, announced to plug-ins."""

    def train(
        self,
        nested: Any,
        scales: Sequence[float],
        teacher: PreTrainedModel,
        stage: str,
        sampler: Any = None,
        callbacks: Sequence[Any] = (),
    ) -> None:
        """Train the scales of a nested network together against a frozen teacher.

        Args:
            nested: The network, trimmed to what will be used.
            scales: Scales that share it.
            teacher: The model to follow.
            stage: Name of the stage.
            sampler: A `ScaleSampler`: which of the scales a step trains; all when left out.
            callbacks: As `Trainer` takes them, beside those of every stage.
        """

    def distil(self, student: PreTrainedModel, teacher: PreTrainedModel, stage: str) -> None:
        """Distil a standalone model, in place.

        Args:
            student: The model.
            teacher: The frozen model to follow: an assistant, in whose place or beside which the teacher stands where
                `distillation.guide` says so, or the teacher.
            stage: Name of the stage.
        """

    def evaluate(
        self,
        nested: Any,
        candidates: Sequence[Candidate],
        scheduler: str,
        stage: str = "selection",
        student: float | None = None,
    ) -> list[Candidate]:
        """Candidates with what the selection split says of them; announced to plug-ins.

        That is their metric, raw and in [0, 1], with an interval; the mean loss on labels; and all of it again for each
        draw of a paired bootstrap.

        Args:
            nested: The network.
            candidates: Of scales that it has.
            scheduler: Whose they are.
            stage: Name of the stage.
            student: Scale of the student, whose slice's divergence from each candidate is measured too.

        Raises:
            MetricError: the metric is not among those computed, or cannot be brought to [0, 1].
            PluginFailedError: the run had a stage of that name.
        """

    def record_metrics(self, candidates: Sequence[Candidate], raw: Sequence[float], scheduler: str) -> list[Candidate]:
        """Candidates with raw metrics that were measured in another way, and the same in [0, 1]; announced."""

    def metric_of(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> float:
        """The metric of a model, on the selection split or on `dataset`, as the metric reports it."""

    def metrics_of(self, nested: Any, scales: Sequence[float], stage: str) -> list[float]:
        """The metric of each scale on the selection split, as the metric reports it, in one pass over the data."""

    def redrawn(self, model: PreTrainedModel, stage: str, dataset: Dataset) -> tuple[float, list[float]]:
        """The metric of a model on a split, and of each draw of a paired bootstrap over it, as the metric reports them.

        It is a stage, so that a run that goes on does not compute it anew. Of draws there are none where rows of the
        split are no examples; one that the metric is not defined for is NaN.
        """

    def metric_in_runtime(self, model: Any, dataset: Dataset) -> float:
        """The metric, in this process alone, of whatever takes a batch by name and returns its outputs by name."""

    def scores_in_runtime(self, model: Any, dataset: Dataset) -> Mapping[str, float]:
        """The same, and what else is computed with it, such as `perplexity` of a language model, by name."""

    def rehearse(self) -> None:
        """Make a Trainer of each kind, and throw it away; the checks before a run use it, no scheduler needs to.

        Raises:
            Exception: of whatever kind the library has that cannot make its part.
        """

    def teacher_cache_bytes(self) -> int:
        """Bytes on disk that the kept outputs of one teacher take; 0 where none are kept."""

    def evaluator(self, model: PreTrainedModel, stage: str, dataset: Dataset | None = None) -> Trainer:
        """A plain Trainer that evaluates `model`, on the selection split unless told."""
