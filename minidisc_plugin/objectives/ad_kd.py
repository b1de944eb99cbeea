"""`distillation.objective: ad_kd`, attribution-driven distillation (Wu et al. 2023, arXiv 2305.10010)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from minidisc_plugin.contracts.objective import PROGRESS, Objective
from minidisc_plugin.contracts.values import Positive, Settings
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.processes import mean_over_processes
from minidisc_plugin.objectives.own import refuse_shared
from minidisc_plugin.objectives.terms import label_loss, mean_of_terms, soft_cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.distillation import DistillationConfig

ATTRIBUTIONS = "attributions"


class AdKdSettings(Settings):
    """`distillation.ad_kd`; published values for GLUE: docs/objectives.md."""

    teacher_weight: float = Field(
        0.8, ge=0, le=1, description="Weight of the soft targets against that of the labels (`alpha`)."
    )
    temperature: Positive = Field(2.0, description="Temperature of the logits on both sides.")
    annealed: bool = Field(False, description="Let the temperature go evenly to 1 while a stage trains.")
    attribution_weight: float = Field(1.0, ge=0, description="Weight of the attributions' squared error.")
    top_k: int = Field(
        768, ge=1, description="Dimensions of a teacher's token that count, those with the largest attributions."
    )
    views: bool = Field(
        False, description="Attribute the probability of each class, and not only that of the label (`multi-view`)."
    )


class AdKd(Objective):
    """(1 - a) CE + a soft CE + w * the squared error between attributions of tokens, summed, by how many count.

    The attribution of a token is the l2 norm of (d loss / d e) * e, with e its vector from the embeddings, and of all
    tokens of a text the norm is 1: integrated gradients from zero in one step. The teacher's is of its largest `top_k`
    dimensions, and is what a cache keeps.
    """

    name = "ad_kd"
    own_settings = AdKdSettings
    tasks = frozenset({"text-classification"})
    needs_hidden_states = True
    needs_second_derivatives = True
    observes = (ATTRIBUTIONS,)
    reads_progress = True
    own: AdKdSettings

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        super().__init__(settings, regression=regression)
        refuse_shared(settings)
        if regression and self.own.annealed:
            raise ConfigError("distillation.ad_kd.annealed: true: a regression has no temperature; leave it out")
        if regression and self.own.views:
            raise ConfigError("distillation.ad_kd.views: true: a regression has one view; leave it out")

    def compared_states(self, count: int) -> list[int]:
        """See Objective; a teacher is asked for attributions alone."""
        return []

    def observe(self, teacher: PreTrainedModel, output: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Objective; (batch, tokens, views), 0 at padding.

        Raises:
            ConfigError: the model or its labels have another form.
        """
        if getattr(output, "hidden_states", None) is None:
            raise ConfigError(
                f"distillation.objective: 'ad_kd' attributes to tokens of one stack of layers, and "
                f"{teacher.config.model_type} has two; set distillation.objective: minidisc"
            )
        if self.own.views and batch["labels"].dim() > 1:
            raise ConfigError("distillation.ad_kd.views: true: a text has several labels here; leave it out")
        found = self._attributions(output, batch, top_k=self.own.top_k, differentiable=False)
        return {ATTRIBUTIONS: found.detach()}

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        own, labels = self.own, batch["labels"]
        loss = (1 - own.teacher_weight) * label_loss(student.logits, labels, regression=self.regression)
        if self.regression:
            loss = loss + own.teacher_weight * mean_of_terms((student.logits - teacher.logits).pow(2))
        else:
            temperature = own.temperature
            if own.annealed:
                temperature += (1 - temperature) * float(batch[PROGRESS])
            loss = loss + own.teacher_weight * soft_cross_entropy(student.logits, teacher.logits, temperature)
        if own.attribution_weight:
            theirs = batch[ATTRIBUTIONS].float()
            mine = self._attributions(student, batch, top_k=None, differentiable=torch.is_grad_enabled())
            count = mean_over_processes(theirs.ne(0).sum().float()).clamp_min(1.0)
            loss = loss + own.attribution_weight * (mine - theirs).pow(2).sum() / count
        return loss

    def _attributions(
        self, output: Any, batch: Mapping[str, Tensor], *, top_k: int | None, differentiable: bool
    ) -> Tensor:
        """(batch, tokens, views) of a model's output, of norm 1 over the tokens of each text."""
        embedded = output.hidden_states[0]
        mask = batch.get("attention_mask")
        found = []
        for loss in self._views(output.logits, batch["labels"]):
            (slope,) = torch.autograd.grad(loss, embedded, retain_graph=True, create_graph=differentiable)
            parts = (slope * embedded).float()
            if top_k is not None and top_k < parts.shape[-1]:
                largest = parts.abs().topk(top_k, dim=-1).indices
                parts = parts.gather(-1, largest)
            squares = parts.pow(2).sum(-1)
            if mask is not None:
                squares = squares * mask.to(squares.dtype)
            # The root of 0 has no slope.
            tiny = torch.finfo(squares.dtype).tiny
            norms = squares.clamp_min(tiny).sqrt() * squares.gt(0)
            found.append(norms / squares.sum(-1, keepdim=True).clamp_min(tiny).sqrt())
        return torch.stack(found, dim=-1)

    def _views(self, logits: Tensor, labels: Tensor) -> list[Tensor]:
        """What is attributed: the loss of the label, or of each class -log of its probability; sums over the batch."""
        if self.regression:
            return [(logits.squeeze(-1) - labels.to(logits.dtype)).pow(2).sum()]
        if labels.dim() > 1:  # a teacher's own, of several labels; see tasks/multi_label.py
            return [functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")]
        likely = functional.log_softmax(logits, dim=-1)
        if self.own.views:
            return [-likely[:, label].sum() for label in range(likely.shape[-1])]
        return [functional.nll_loss(likely, labels, reduction="sum")]
