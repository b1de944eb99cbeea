"""`distillation.objective: knowledge_distillation`, Neural Compressor's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional

from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives.terms import label_loss, mean_of_terms, soft_cross_entropy

if TYPE_CHECKING:
    from minidisc_plugin.contracts.distillation import DistillationConfig


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
        if self.label_type == "CE" or self.regression:
            return label_loss(logits, labels, regression=self.regression, mask=mask)
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
