"""Distillation objectives: what makes a student follow its teacher; chosen by `distillation.objective`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.processes import mean_over_processes

if TYPE_CHECKING:
    from minidisc_plugin.contracts.config import DistillationConfig


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """Cross entropy of (terms, classes) logits against the teacher's distribution, both at `temperature`.

    Classes that are false in `mask` (terms, classes) do not exist; it is 0 where there are no terms.
    """
    if mask is not None:
        target = functional.softmax((teacher / temperature).masked_fill(~mask, -torch.inf), dim=-1)
        likely = functional.log_softmax((student / temperature).masked_fill(~mask, -torch.inf), dim=-1)
        return mean_of_terms(-(target * likely.masked_fill(~mask, 0.0)).sum(-1))
    target = functional.softmax(teacher / temperature, dim=-1)
    return mean_of_terms(-(target * functional.log_softmax(student / temperature, dim=-1)).sum(-1))


def mean_of_terms(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over all processes' terms of the values that stand for something, as each process's share of it."""
    counted = values if mask is None else values[mask]
    count = mean_over_processes(torch.full((), float(counted.numel()), device=values.device))  # moves nothing there
    return counted.sum() / count.clamp_min(torch.finfo(torch.float32).tiny)


def masked_mean_squared_error(pairs: Sequence[tuple[Tensor, Tensor]], mask: Tensor | None) -> list[Tensor]:
    """Mean squared difference of each pair of (batch, tokens, width) states over real tokens of all processes."""
    first = pairs[0][0]
    kind = torch.promote_types(first.dtype, torch.float32)  # half precision cannot count
    weight = first.new_ones(first.shape[:2], dtype=kind) if mask is None else mask.to(kind)
    count = mean_over_processes(weight.sum()).clamp_min(torch.finfo(weight.dtype).tiny)
    errors = [functional.mse_loss(mine.to(kind), theirs.to(kind), reduction="none") for mine, theirs in pairs]
    return [(error.mean(-1) * weight).sum() / count for error in errors]


def compared_layers(layers: int) -> list[int]:
    """Indices into `hidden_states` that the paper compares: the embeddings and every (layers / 6)-th layer."""
    if layers <= 6:
        return list(range(layers + 1))
    return sorted({round(step * layers / 6) for step in range(7)})


def _stacks(student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Iterator[tuple[Any, Any, Tensor | None]]:
    """Hidden states of both, with their mask: one stack of layers, or those of encoder and decoder."""
    if getattr(teacher, "decoder_hidden_states", None) is None:
        yield student.hidden_states, teacher.hidden_states, batch.get("attention_mask")
        return
    yield student.encoder_hidden_states, teacher.encoder_hidden_states, batch.get("attention_mask")
    yield student.decoder_hidden_states, teacher.decoder_hidden_states, batch.get("decoder_attention_mask")


class MiniDiscObjective(Objective):
    """The paper's: the mean of the hidden states' squared error and the logits' soft cross entropy (section 3.2).

    Hidden states of the embeddings and of every (layers / 6)-th layer, real tokens only, no projection. Logits of
    a regression are compared by squared error.
    """

    name = "minidisc"
    needs_hidden_states = True
    reads_labels = False

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        super().__init__(settings, regression=regression)
        for key in ("loss_types", "loss_weights"):
            if getattr(settings, key) is not None:
                raise ConfigError(
                    f"distillation.{key}: the objective 'minidisc' does not use it; "
                    "leave it out, or set distillation.objective: knowledge_distillation"
                )

    def compared_states(self, count: int) -> list[int]:
        """See Objective."""
        return compared_layers(count - 1)

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        errors = [
            error
            for mine, theirs, mask in _stacks(student, teacher, batch)
            for error in masked_mean_squared_error(
                [(mine[layer], theirs[layer]) for layer in self.compared_states(len(theirs))], mask
            )
        ]
        hidden = torch.stack(errors).mean()
        if self.regression:
            logits = mean_of_terms((student.logits - teacher.logits).pow(2))
        else:
            mask = batch.get("logits_mask")
            logits = soft_cross_entropy(student.logits, teacher.logits, self.settings.temperature, mask)
        return (hidden + logits) / 2


class KnowledgeDistillation(Objective):
    """INC's `KnowledgeDistillationLoss`: `loss_weights[0]` * labels + `loss_weights[1]` * teacher at `temperature`.

    `loss_types` are INC's: `CE` or `MSE` for the labels; `CE`, `KL` or `MSE` for the teacher. The teacher's term is
    multiplied by the squared temperature, as INC does.
    """

    name = "knowledge_distillation"
    _label_types = ("CE", "MSE")
    _teacher_types = ("CE", "KL", "MSE")

    def __init__(self, settings: DistillationConfig, *, regression: bool) -> None:
        super().__init__(settings, regression=regression)
        usual = "MSE" if regression else "CE"
        self.label_type, self.teacher_type = settings.loss_types or (usual, usual)
        self.label_weight, self.teacher_weight = settings.loss_weights or (0.5, 0.5)
        self.reads_labels = bool(self.label_weight)
        for value, known in ((self.label_type, self._label_types), (self.teacher_type, self._teacher_types)):
            if value not in known:
                raise ConfigError(f"distillation.loss_types: {value!r} is not one of {', '.join(known)}")
        if regression and {self.label_type, self.teacher_type} != {"MSE"}:
            raise ConfigError("distillation.loss_types: a regression needs [MSE, MSE]")

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        mask = batch.get("logits_mask")
        loss: Tensor = student.logits.new_zeros(())
        if self.label_weight:
            loss = loss + self.label_weight * self._against_labels(student.logits, batch["labels"], mask)
        if self.teacher_weight:
            loss = loss + self.teacher_weight * self._against_teacher(student.logits, teacher.logits, mask)
        return loss

    def _against_labels(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        if self.label_type == "CE":
            known = logits if mask is None else logits.masked_fill(~mask, -torch.inf)
            return mean_of_terms(functional.cross_entropy(known, labels, reduction="none"))
        if self.regression:
            return mean_of_terms((logits.squeeze(-1) - labels.to(logits.dtype)).pow(2))
        return mean_of_terms((logits - functional.one_hot(labels, logits.shape[-1]).to(logits.dtype)).pow(2), mask)

    def _against_teacher(self, logits: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        temperature = self.settings.temperature
        if self.teacher_type == "MSE":
            return mean_of_terms((logits - teacher).pow(2), mask)
        if self.teacher_type == "CE":
            return temperature**2 * soft_cross_entropy(logits, teacher, temperature, mask)
        if mask is not None:
            logits, teacher = logits.masked_fill(~mask, -1e4), teacher.masked_fill(~mask, -1e4)
        divergence = functional.kl_div(
            functional.log_softmax(logits / temperature, dim=-1),
            functional.log_softmax(teacher / temperature, dim=-1),
            reduction="none",
            log_target=True,
        )
        return temperature**2 * mean_of_terms(divergence, mask)  # over examples and labels, as INC does
