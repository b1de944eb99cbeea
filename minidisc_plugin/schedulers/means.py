"""What a run brings to its workbench: data, how models are scored, and how stages train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from minidisc_plugin.contracts.pool import Pool
from minidisc_plugin.training.arguments import evaluates, tokenizer_argument
from minidisc_plugin.training.batches import sorted_by_length

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    from minidisc_plugin.contracts.config import EngineConfig
    from minidisc_plugin.contracts.objective import Objective
    from minidisc_plugin.selection import MetricRange


@dataclass(frozen=True)
class Data:
    """Tokenised examples, and what makes batches of them.

    Attributes:
        train: With `labels`, without those of `selection`.
        selection: Labelled examples for importance and selection.
        validation: For early stopping, where there are any.
        collator: As `Trainer` takes it.
        processor: Its `processing_class`.
        further: See Pool.
    """

    train: Dataset
    selection: Dataset
    validation: Dataset | None = None
    collator: Any = None
    processor: Any = None
    further: Dataset | None = None

    def __post_init__(self) -> None:
        # Its order is nobody's concern, and batches of similar length pad little.
        object.__setattr__(self, "selection", sorted_by_length(self.selection))

    @cached_property
    def pool(self) -> Pool:
        """What an epoch's examples are drawn from."""
        return Pool(self.train, self.further)


@dataclass(frozen=True)
class Score:
    """How models are scored.

    Attributes:
        metric: The key of the result of `compute` that selects.
        compute: `compute_metrics`, as `Trainer` takes it.
        reduce: `preprocess_logits_for_metrics`, likewise.
        range: Smallest and largest value of the metric, where it is not known by name.
    """

    metric: str
    compute: Callable[[Any], dict[str, float]]
    reduce: Callable[..., Any] | None = None
    range: MetricRange | None = None


@dataclass(frozen=True)
class Training:
    """How every stage trains.

    Attributes:
        args: Of every stage; `args.output_dir` holds a folder for each.
        objective: Of the distillation.
        engine: How stages spend their time.
        callbacks: As `Trainer` takes them.
        make_distiller: Makes the Trainer of a standalone student: takes the student, and the arguments of
            DistillationTrainer by name; None is DistillationTrainer.
        resume: Go on from what `args.output_dir` holds.
    """

    args: TrainingArguments
    objective: Objective
    engine: EngineConfig
    callbacks: Sequence[Any] = ()
    make_distiller: Callable[..., Trainer] | None = None
    resume: bool = False


def trainer_arguments(data: Data, score: Score, args: TrainingArguments) -> dict[str, Any]:
    """Data, metric and processor, as every Trainer of a run takes them."""
    validation = data.validation
    if validation is None and evaluates(args):
        validation = data.selection
    return {
        "train_dataset": data.pool.examples,
        "eval_dataset": validation,
        "compute_metrics": score.compute,
        tokenizer_argument(): data.processor,
        "data_collator": data.collator,
        "preprocess_logits_for_metrics": score.reduce,
    }
