"""`distillation.objective: minidisc`, the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minidisc_plugin.contracts.objective import Objective
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives.terms import (
    compared_layers,
    masked_mean_squared_error,
    mean_of_terms,
    soft_cross_entropy,
    stacks,
)

if TYPE_CHECKING:
    from minidisc_plugin.contracts.distillation import DistillationConfig


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
            for mine, theirs, mask in stacks(student, teacher, batch)
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
