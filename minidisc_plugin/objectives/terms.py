"""What losses are made of: means over the terms of a batch, soft targets, and which hidden states are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from minidisc_plugin.foundation.processes import mean_over_processes


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


def divergence(student: Tensor, teacher: Tensor, temperature: float, mask: Tensor | None = None) -> Tensor:
    """Mean over terms of KL(teacher || student) of (terms, classes) logits at `temperature`, nats."""
    entropy = soft_cross_entropy(teacher, teacher, temperature, mask)
    return soft_cross_entropy(student, teacher, temperature, mask) - entropy


def label_loss(logits: Tensor, labels: Tensor, *, regression: bool, mask: Tensor | None = None) -> Tensor:
    """Mean loss against (terms,) labels: cross entropy of (terms, classes) logits, squared error of a regression.

    Classes that are false in `mask` (terms, classes) do not exist.
    """
    if regression:
        return mean_of_terms((logits.squeeze(-1) - labels.to(logits.dtype)).pow(2))
    known = logits if mask is None else logits.masked_fill(~mask, -torch.inf)
    return mean_of_terms(functional.cross_entropy(known, labels, reduction="none"))


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


def mean_of_tokens(states: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, width) mean over the real tokens of (batch, tokens, width) states."""
    weight = states.new_ones(states.shape[:2]) if mask is None else mask.to(states.dtype)
    return (states * weight.unsqueeze(-1)).sum(1) / weight.sum(1, keepdim=True).clamp_min(1.0)


def compared_layers(layers: int) -> list[int]:
    """Indices into `hidden_states` that the paper compares: the embeddings and every (layers / 6)-th layer."""
    if layers <= 6:
        return list(range(layers + 1))
    return sorted({round(step * layers / 6) for step in range(7)})


def stacks(student: Any, teacher: Any, batch: Mapping[str, Tensor]) -> Iterator[tuple[Any, Any, Tensor | None]]:
    """Hidden states of both, with their mask: one stack of layers, or those of encoder and decoder."""
    if getattr(teacher, "decoder_hidden_states", None) is None:
        yield student.hidden_states, teacher.hidden_states, batch.get("attention_mask")
        return
    yield student.encoder_hidden_states, teacher.encoder_hidden_states, batch.get("attention_mask")
    yield student.decoder_hidden_states, teacher.decoder_hidden_states, batch.get("decoder_attention_mask")
