"""`distillation.objective: embeddings`: `minidisc` for sentence embeddings, and which texts of a batch are alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from minidisc_plugin.contracts.values import Positive, Settings
from minidisc_plugin.objectives.minidisc import MiniDiscObjective
from minidisc_plugin.objectives.terms import divergence


class EmbeddingsSettings(Settings):
    """`distillation.embeddings`."""

    similarity_weight: float = Field(
        1.0, ge=0, description="Weight of the divergence between both models' similarities of the texts of a batch."
    )
    scale: Positive = Field(
        20.0, description="What cosines are multiplied by before the softmax over the other texts of the batch."
    )


class Embeddings(MiniDiscObjective):
    """`minidisc` + `similarity_weight` * KL of each text's similarities to the others of its batch.

    `minidisc` compares hidden states and, as a task of embeddings gives them in place of logits, the embeddings: the
    mean of their squared errors, which of embeddings is twice 1 - cosine. Similarities are cosines, as a distribution
    over the other texts of the batch of this process (relational distillation, Park et al. 2019, arXiv 1904.05068, with
    the softmax of sentence-transformers' ranking losses).
    """

    name = "embeddings"
    own_settings = EmbeddingsSettings
    tasks = frozenset({"feature-extraction"})
    own: EmbeddingsSettings

    def __call__(self, student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """See Objective."""
        loss = super().__call__(student, teacher, batch)
        texts = len(student.logits)
        if texts < 2 or not self.own.similarity_weight:
            return loss
        others = ~torch.eye(texts, dtype=torch.bool, device=student.logits.device)
        mine, theirs = (self.own.scale * _cosines(output.logits) for output in (student, teacher))
        return loss + self.own.similarity_weight * divergence(mine, theirs, self.settings.temperature, others)


def _cosines(embeddings: Tensor) -> Tensor:
    """(texts, texts) of (texts, width)."""
    unit = functional.normalize(embeddings.float(), dim=-1)
    return unit @ unit.T
