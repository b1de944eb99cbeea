"""Whole schedules over tiny models, stopped at a chosen moment and taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Trainer

from minidisc_plugin import NestedModel
from minidisc_plugin.contracts.config import EngineConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.objective import DOMAIN, Objective
from minidisc_plugin.contracts.presets import engine_of
from minidisc_plugin.contracts.scheduler import Scheduler
from minidisc_plugin.contracts.values import Guide
from minidisc_plugin.metrics import build_compute_metrics
from minidisc_plugin.run.shipped import minidisc_register_objectives
from minidisc_plugin.schedulers import journal, stage
from minidisc_plugin.schedulers.means import Data, Score, Training
from minidisc_plugin.schedulers.minidisc import MiniDisc
from minidisc_plugin.schedulers.workbench import Workbench
from minidisc_plugin.tasks.text_classification import TextClassification
from minidisc_plugin.training.arguments import training_arguments
from minidisc_plugin.training.checkpoints import Checkpoint
from minidisc_plugin.training.early_stopping import EarlyStopping
from tests.builders.tiny import make_bert


class Stopped(BaseException):
    """What stands for a kill."""


@dataclass
class Moments:
    """Counts what happens, and stops at one of it.

    Attributes:
        at: The moment to stop at, from 0; None lets everything pass.
        passed: Names of the moments so far.
    """

    at: int | None = None
    passed: list[str] = field(default_factory=list)

    def pass_by(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) - 1 == self.at:
            raise Stopped(name)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, moments are steps, parts of checkpoints, their removal, final weights and lines of the journal."""
        parts: Mapping[Any, list[str]] = {
            Trainer: ["training_step", "_save_optimizer_and_scheduler", "_save_rng_state", "_load_best_model"],
            Checkpoint: ["seal", "remove"],
            stage: ["save_weights"],
            journal: ["write_bytes"],
        }
        with ExitStack() as patches:
            for owner, names in parts.items():
                for name in names:
                    noting = self._noting(name, getattr(owner, name))
                    patches.enter_context(patch.object(owner, name, noting))
            yield

    def _noting(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"before {name}")
            found = inner(*args, **kwargs)
            self.pass_by(f"after {name}")
            return found

        return outer


@dataclass(frozen=True)
class Outcome:
    """What a schedule and its student came to.

    Attributes:
        weights: Of the assistants and of the student.
        record: The schedule's, without times.
        decisions: What stages left in the journal.
    """

    weights: list[dict[str, Tensor]]
    record: dict[str, Any]
    decisions: dict[str, Any]

    def same_as(self, other: Outcome) -> bool:
        """Bit by bit."""
        return (
            self.record == other.record
            and self.decisions == other.decisions
            and len(self.weights) == len(other.weights)
            and all(
                mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
                for mine, theirs in zip(self.weights, other.weights, strict=True)
            )
        )


@dataclass(frozen=True)
class Setting:
    """How a schedule is made.

    Attributes:
        training: The section of a config.
        patience: Of early stopping.
        engine: The section of a config.
        scheduler: Chooses the assistant.
        distiller: Makes the student's Trainer.
        guide: What the student follows.
        further: Whether epochs draw from 24 more examples.
        objective: What is followed how, as `distillation` says it.
    """

    training: Mapping[str, Any]
    patience: int | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Scheduler = field(
        default_factory=lambda: MiniDisc(target_sparsity=0.7, lam=2.0, candidates=[0.6, 0.5, 0.4])
    )
    distiller: Callable[..., Trainer] | None = None
    guide: Guide = "assistant"
    further: bool = False
    objective: Mapping[str, Any] = field(default_factory=lambda: {"objective": "minidisc"})

    def _objective(self) -> Objective:
        settings = DistillationConfig.model_validate({"guide": self.guide, **self.objective})
        kinds: dict[str, type[Objective]] = {kind.name: kind for kind in minidisc_register_objectives()}
        return kinds[settings.objective](settings, regression=False)

    def run(self, folder: Path, dataset: Dataset, tokenizer: PreTrainedTokenizerFast, *, resume: bool) -> Outcome:
        """Choose the assistant, distil the student; 24 examples of `dataset` train."""
        usual = {"learning_rate": 3e-3, "per_device_train_batch_size": 8, "seed": 3, "num_train_epochs": 2}
        quiet = {"disable_tqdm": True, "use_cpu": True}
        args = training_arguments({**usual, **quiet, **self.training}, folder, self.patience, "accuracy")
        examples = dataset.select(range(24))
        if self.objective["objective"] == "hrkd":
            examples = examples.add_column(DOMAIN, [0, 1, 2, 0] * 6)
        bench = Workbench(
            make_bert(labels=2, seed=7),
            NestedModel,
            TextClassification(),
            Data(
                examples,
                dataset.select(range(24, 48)),
                dataset.select(range(36, 48)),
                processor=tokenizer,
                further=dataset.select(range(24, 48)) if self.further else None,
            ),
            Score("accuracy", build_compute_metrics("accuracy", regression=False)),
            Training(
                args,
                self._objective(),
                engine_of(EngineConfig(**{"teacher_cache": False, **self.engine}), "fast"),
                [] if self.patience is None else [EarlyStopping(self.patience)],
                self.distiller,
                resume,
            ),
        )
        schedule = self.scheduler.run(bench)
        if not schedule.distilled:
            bench.distil(schedule.student, schedule.assistant or bench.teacher, "student")
        models = [*schedule.assistants, schedule.student]
        return Outcome(
            [{name: value.detach().clone() for name, value in model.state_dict().items()} for model in models],
            schedule.record.model_dump(exclude={"seconds"}),
            {name: bench.journal.result(name) for name in bench.journal.seconds},
        )
