"""`distillation.objective: hrkd`, distillation of several domains at once (Dong et al. 2021, 2110.08551)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from minidisc_plugin.contracts.objective import DOMAIN, Objective
from minidisc_plugin.contracts.values import Positive, Settings
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.processes import mean_over_processes
from minidisc_plugin.objectives.domain_graph import DomainGraph
from minidisc_plugin.objectives.own import refuse_shared, refuse_two_stacks
from minidisc_plugin.objectives.terms import compared_layers

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.distillation import DistillationConfig


class HrkdSettings(Settings):
    """`distillation.hrkd`."""

    hidden_weight: float = Field(1.0, ge=0, description="Weight of hidden states and attention (`hidden_ratio`).")
    logits_weight: float = Field(1.0, ge=0, description="Weight of the logits (`pred_ratio`).")
    temperature: Positive = Field(1.0, description="Temperature of the logits on both sides.")
    heads: int = Field(8, ge=1, description="Attention heads of the graph by which domains are weighed.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in that graph.")


class Hrkd(Objective):
    """Sum over domains d of `hidden_weight` * sum over layers l of r_ld * (MSE of states and of attention scores).

    To this comes `logits_weight` times the mean over domains of the logits' soft cross entropy. The weights r_l of a
    layer are a softmax over domains: a graph learns them with the student, from the student's mean state of each domain
    in that layer and those below. They are looked up, so to say: no gradient goes from them to the student.

    Attention scores are known up to what softmax leaves out, so each row is compared around its mean; heads are
    averaged, as a student has fewer.
    """

    name = "hrkd"
    own_settings = HrkdSettings
    tasks = frozenset({"text-classification"})
    needs_hidden_states = True
    needs_attentions = True
    reads_domains = True
    reads_labels = False
    own: HrkdSettings

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        super().__init__(settings, regression=regression)
        refuse_shared(settings)
        if not (self.own.hidden_weight or self.own.logits_weight):
            raise ConfigError(
                "distillation.hrkd.hidden_weight: 0 beside distillation.hrkd.logits_weight: 0 leaves nothing to learn "
                "from; raise one of them"
            )

    def compared_states(self, count: int) -> list[int]:
        """See Objective."""
        return compared_layers(count - 1)

    def make_network(self, student: PreTrainedModel, teacher: PreTrainedModel, examples: Dataset) -> nn.Module | None:
        """See Objective.

        Raises:
            ConfigError: the model has two stacks of layers.
        """
        config = teacher.config
        refuse_two_stacks(self.name, "compares", teacher)
        layers, domains = len(self.compared_states(config.num_hidden_layers + 1)), max(examples[DOMAIN]) + 1
        return DomainGraph(layers, domains, config.hidden_size, self.own.heads, self.own.dropout)

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        own, groups = self.own, _Groups(batch[DOMAIN], self.network.domains)
        loss = own.logits_weight * self._logits(student.logits, teacher.logits, groups).mean()
        if own.hidden_weight:
            mask = batch.get("attention_mask")
            mask = torch.ones_like(student.hidden_states[0][..., 0]) if mask is None else mask
            loss = loss + own.hidden_weight * self._layers(student, teacher, mask, groups)
        return loss

    def _logits(self, mine: Tensor, theirs: Tensor, groups: _Groups) -> Tensor:
        """(domains,) soft cross entropy, or squared error of a regression."""
        if self.regression:
            each = (mine - theirs).pow(2).mean(-1)
        else:
            wanted = functional.softmax(theirs / self.own.temperature, dim=-1)
            each = -(wanted * functional.log_softmax(mine / self.own.temperature, dim=-1)).sum(-1)
        each = each.view(len(groups.domains), -1)  # of several labels each is a term
        return groups.mean(each.sum(1), torch.full_like(each[:, 0], each.shape[1]))

    def _layers(self, student: Any, teacher: Any, mask: Tensor, groups: _Groups) -> Tensor:
        """Sum over layers and domains of what differs, each layer's domains by their weights."""
        layers = self.compared_states(len(teacher.hidden_states))
        states = [student.hidden_states[layer].to(self.network.kind) for layer in layers]
        real = mask.to(self.network.kind)
        pairs = zip(self.network.fitted(states), (teacher.hidden_states[layer] for layer in layers), strict=True)
        errors = [((mine.to(real.dtype) - theirs).pow(2).mean(-1) * real).sum(1) for mine, theirs in pairs]
        differs = groups.mean(torch.stack(errors, 1), real.sum(1))
        # The first is of the embeddings, which attend to nothing.
        looks = [
            _attention_errors(student.attentions[layer - 1], teacher.attentions[layer - 1], mask)
            for layer in layers[1:]
        ]
        found = groups.mean(*(torch.stack(part, 1) for part in zip(*looks, strict=True)))
        return (self._weights(states, real, groups).T * (differs + functional.pad(found, (1, 0)))).sum()

    def _weights(self, states: Sequence[Tensor], real: Tensor, groups: _Groups) -> Tensor:
        """(layers, domains) how much each domain counts in each layer."""
        # A linear map of means is the mean of what it maps, and means without gradient are easily shared.
        sums = torch.stack([(state.detach() * real.unsqueeze(-1)).sum(1) for state in states], 1)
        means = mean_over_processes(groups.mean(sums, real.sum(1)))
        weights: Tensor = self.network(means.transpose(0, 1))
        return weights


class _Groups:
    """The texts of a batch by their domains.

    Args:
        domains: (batch,) of each text.
        count: How many domains there are.
    """

    def __init__(self, domains: Tensor, count: int) -> None:
        self.domains = domains
        self._count = count

    def mean(self, sums: Tensor, counts: Tensor) -> Tensor:
        """(domains, ...) the mean in each domain, over the texts of all processes, as this process's share of it.

        Args:
            sums: (batch, ...) of each text.
            counts: Of how much: (batch,), or as far as the dimensions of `sums` have counts of their own.
        """
        total, whole = (
            part.new_zeros(self._count, *part.shape[1:]).index_add(0, self.domains, part) for part in (sums, counts)
        )
        whole = mean_over_processes(whole).clamp_min(torch.finfo(whole.dtype).tiny)
        return total / whole.view(*whole.shape, *(1,) * (sums.dim() - whole.dim()))


def _attention_errors(mine: Tensor, theirs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(batch,) sums over pairs of tokens of the squared difference of scores, and how many pairs.

    Args:
        mine: (batch, heads, tokens, tokens) attention weights.
        theirs: Likewise, with any number of heads.
        mask: (batch, tokens) which tokens are real.
    """
    (first, seen), (second, seen_too) = (_scores(weights, mask) for weights in (mine, theirs))
    pairs = (seen & seen_too & mask.bool().unsqueeze(2)).to(first.dtype)
    return ((first - second).pow(2) * pairs).sum((1, 2)), pairs.sum((1, 2))


def _scores(weights: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Scores around the mean of their row, averaged over heads, and which there are; dropout leaves some out."""
    weights = weights.to(torch.promote_types(weights.dtype, torch.float32))
    seen = (weights > 0) & mask.bool()[:, None, None]
    logs = torch.where(seen, weights, 1.0).log()
    row = logs.sum(-1, keepdim=True) / seen.sum(-1, keepdim=True).clamp_min(1)
    around = torch.where(seen, logs - row, 0.0).sum(1) / seen.sum(1).clamp_min(1)
    return around, seen.any(1)
