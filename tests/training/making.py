"""Networks and trainers over tiny models, as a pipeline would make them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast, TrainingArguments

from minidisc_plugin import NestedModel
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.training.arguments import training_arguments
from minidisc_plugin.training.distil import DistillationTrainer
from minidisc_plugin.training.sandwich import SandwichTrainer
from minidisc_plugin.training.scale_sampler import ScaleSampler
from tests.builders.tiny import make_batch, make_bert, make_rows

OBJECTIVE = MiniDiscObjective(DistillationConfig(), regression=False)
SCALES = (0.3, 0.5, 0.6, 0.9)
# Without dropout, and with steps that are plain gradients, a step can be computed by hand.
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
PLAIN_STEP = {
    "optim": "sgd",
    "learning_rate": 1.0,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_grad_norm": 1e9,
}


def make_nested(**settings: Any) -> NestedModel:
    """A ranked network of two labels; it has dropout, as a pretrained model has."""
    nested = NestedModel(make_bert(labels=2, **settings))
    nested.rank([make_batch(labels=2)])
    return nested


def make_teacher() -> nn.Module:
    return make_bert(labels=2, seed=7)


def make_dataset(tokenizer: PreTrainedTokenizerFast) -> Dataset:
    """48 tokenised sentences of different lengths, with labels."""
    rows = make_rows(48, seed=5)
    features = tokenizer([row["sentence"] for row in rows])
    return Dataset.from_dict({**features, "labels": [row["label"] for row in rows]})


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def distillation_loss(student: nn.Module, teacher: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The paper's loss of a student that is not told what the labels are."""
    features = {name: value for name, value in batch.items() if name != "labels"}
    with torch.no_grad():
        wanted = teacher(**features, output_hidden_states=True)
    return OBJECTIVE(student(**features, output_hidden_states=True), wanted, batch)


def sampler(random_scales: int | None) -> ScaleSampler:
    """All SCALES in each step, or the largest, the smallest and some at random."""
    return ScaleSampler(SCALES, "all" if random_scales is None else "sandwich", random_scales or 1, seed=3)


@dataclass
class Bench:
    """Makes trainers that work on the same data in the same folder."""

    folder: Path
    dataset: Dataset
    tokenizer: PreTrainedTokenizerFast

    def arguments(self, **changes: Any) -> TrainingArguments:
        usual = {"learning_rate": 1e-3, "per_device_train_batch_size": 8, "seed": 3}
        quiet = {"disable_tqdm": True, "use_cpu": True, "save_strategy": "no"}
        return training_arguments({**usual, **quiet, **changes}, self.folder)

    def sandwich(
        self, nested: NestedModel, random_scales: int | None = None, trainer: Any = None, **changes: Any
    ) -> SandwichTrainer:
        """A trainer of SCALES; `trainer` changes its arguments, `changes` those of training."""
        return SandwichTrainer(nested, sampler(random_scales), **self._parts(trainer, changes))

    def distil(self, student: nn.Module, trainer: Any = None, **changes: Any) -> DistillationTrainer:
        """A trainer of one model."""
        return DistillationTrainer(student, **self._parts(trainer, changes))

    def collated(self) -> dict[str, Tensor]:
        """All examples as one batch."""
        return dict(DataCollatorWithPadding(self.tokenizer)(list(self.dataset)))

    def _parts(self, trainer: Any, changes: dict[str, Any]) -> dict[str, Any]:
        return {
            "teacher": make_teacher(),
            "objective": OBJECTIVE,
            "train_dataset": self.dataset,
            "data_collator": DataCollatorWithPadding(self.tokenizer),
            "args": self.arguments(**changes),
            **(trainer or {}),
        }
