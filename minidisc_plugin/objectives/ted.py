"""`distillation.objective: ted`, task-aware layer-wise distillation (Liang et al. 2023, arXiv 2210.01351)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.contracts.values import Positive, Settings
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives.own import refuse_shared, refuse_two_stacks
from minidisc_plugin.objectives.terms import (
    compared_layers,
    divergence,
    label_loss,
    masked_mean_squared_error,
    mean_of_terms,
    mean_of_tokens,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.distillation import DistillationConfig


class TedSettings(Settings):
    """`distillation.ted`; published weights for GLUE: docs/objectives.md."""

    logits_weight: float = Field(20.0, ge=0, description="Weight of the divergence from the teacher (`kl_alpha`).")
    filters_weight: float = Field(
        20.0, ge=0, description="Weight of the squared error between filtered states (`mse_alpha`)."
    )
    temperature: Positive = Field(2.0, description="Temperature of the logits on both sides.")
    epochs: float = Field(1.0, ge=0, description="Epochs for which filters learn the task before each stage.")
    width: int | None = Field(None, ge=1, description="Width of filtered states. Default: the model's.")
    filter_layers: int = Field(1, ge=1, le=2, description="Layers of a filter; two with a GELU between.")
    teacher_filters: bool = Field(
        True, description="Whether the teacher's states are filtered, too; without, the student's are mapped onto them."
    )


class Ted(Objective):
    """CE + `logits_weight` * T^2 * KL + `filters_weight` * the mean over layers of MSE(W_s h_s, W_t h_t).

    Filters W_l of both models first learn the task, with the models as they are: each has a pooler and a head of its
    own, and the mean of their losses trains them. Then those of the teacher stay, and those of the student train on
    with it. Layers are those of `minidisc`, without the embeddings; padding counts nowhere. Poolers take the mean of
    the real tokens, as not every family has a token for the text, where the authors' take the first.
    """

    name = "ted"
    own_settings = TedSettings
    tasks = frozenset({"text-classification"})
    needs_hidden_states = True
    own: TedSettings

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        super().__init__(settings, regression=regression)
        refuse_shared(settings)
        if not self.own.epochs and self.own.teacher_filters and self.own.filters_weight:
            raise ConfigError(
                "distillation.ted.epochs: 0 leaves the teacher's filters as chance made them; raise it, or set "
                "distillation.ted.teacher_filters: false"
            )

        if self.own.width is not None and not self.own.teacher_filters:
            raise ConfigError(
                f"distillation.ted.width: {self.own.width} beside distillation.ted.teacher_filters: false: filtered "
                "states are then as wide as the teacher's; leave it out"
            )

    @property
    def epochs_before(self) -> float:
        """See Objective."""
        return self.own.epochs if self.own.filters_weight else 0.0

    def compared_states(self, count: int) -> list[int]:
        """See Objective."""
        return compared_layers(count - 1)[1:]

    def make_network(self, student: PreTrainedModel, teacher: PreTrainedModel, examples: Dataset) -> nn.Module | None:
        """See Objective.

        Raises:
            ConfigError: the model has two stacks of layers.
        """
        if not self.own.filters_weight:
            return None
        refuse_two_stacks(self.name, "filters", teacher, "distillation.ted.filters_weight: 0, or ")
        return _Network(self.own, teacher.config)

    def loss_before(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective; the losses of both sides' heads."""
        sides = [(self.network.student, student)]
        if self.own.teacher_filters:
            sides.append((self.network.teacher, teacher))
        losses = []
        for filters, output in sides:
            states = [output.hidden_states[layer] for layer in self.compared_states(len(output.hidden_states))]
            for logits in filters.predictions(states, batch.get("attention_mask")):
                losses.append(self._label_loss(logits, batch["labels"]))
        return torch.stack(losses).mean() * len(sides)

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        own = self.own
        loss = label_loss(student.logits, batch["labels"], regression=self.regression)
        if own.logits_weight and self.regression:
            loss = loss + own.logits_weight * mean_of_terms((student.logits - teacher.logits).pow(2))
        elif own.logits_weight:
            found = divergence(student.logits, teacher.logits, own.temperature)
            loss = loss + own.logits_weight * own.temperature**2 * found
        if own.filters_weight:
            layers = self.compared_states(len(teacher.hidden_states))
            mine = self.network.student([student.hidden_states[layer] for layer in layers])
            theirs = [teacher.hidden_states[layer] for layer in layers]
            if own.teacher_filters:
                with torch.no_grad():
                    theirs = self.network.teacher(theirs)
            errors = masked_mean_squared_error(list(zip(mine, theirs, strict=True)), batch.get("attention_mask"))
            loss = loss + own.filters_weight * torch.stack(errors).mean()
        return loss

    def _label_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if len(labels) == len(logits) and (self.regression or logits.shape[-1] > 1):
            return label_loss(logits, labels, regression=self.regression)
        # Of several labels each is a term of its own, against a logit of 0; see tasks/multi_label.py.
        each = logits.reshape(-1, 1)
        return label_loss(torch.cat([torch.zeros_like(each), each], -1), labels, regression=False)


class _Network(nn.Module):
    """Filters of both sides; all but the student's learn before the stage only, and so do poolers and heads."""

    def __init__(self, own: TedSettings, config: Any) -> None:
        super().__init__()
        width = own.width or config.hidden_size
        layers = len(compared_layers(config.num_hidden_layers)[1:])
        sides = ("student", "teacher") if own.teacher_filters else ("student",)
        for side in sides:
            self.add_module(side, _Filters(layers, config.hidden_size, width, config.num_labels, own.filter_layers))
        self.requires_grad_(False)
        self.get_submodule("student.filters").requires_grad_(True)


class _Filters(nn.Module):
    """A filter for each compared layer of one model, each with a pooler and a head that learn the task."""

    def __init__(self, layers: int, hidden: int, width: int, labels: int, depth: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(_filter(hidden, width, depth) for _ in range(layers))
        self.poolers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.heads = nn.ModuleList(nn.Linear(width, labels) for _ in range(layers))

    def forward(self, states: Sequence[Tensor]) -> list[Tensor]:
        """Filtered states (batch, tokens, width), one for each (batch, tokens, hidden)."""
        kind = next(self.parameters()).dtype  # states may be of half precision
        return [each(state.to(kind)) for each, state in zip(self.filters, states, strict=True)]

    def predictions(self, states: Sequence[Tensor], mask: Tensor | None) -> list[Tensor]:
        """Logits (batch, labels) of each layer's head."""
        found = []
        for filtered, pooler, head in zip(self(states), self.poolers, self.heads, strict=True):
            found.append(head(torch.tanh(pooler(mean_of_tokens(filtered, mask)))))
        return found


def _filter(hidden: int, width: int, depth: int) -> nn.Module:
    if depth == 1:
        return nn.Linear(hidden, width)
    return nn.Sequential(nn.Linear(hidden, width), nn.GELU(), nn.Linear(width, width))
