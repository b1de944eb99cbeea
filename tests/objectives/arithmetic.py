"""Losses and their parts, computed by plain loops over numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
LABELS = torch.tensor([1, 0, 2])
TARGETS = torch.tensor([1.5, -2.0, 0.25], dtype=torch.float64)


def make_output(seed: int, layers: int = 3, labels: int = 3, width: int = 5) -> SequenceClassifierOutput:
    """What a model of three texts of at most four tokens gives, in double precision; everything wants gradients."""
    generator = torch.Generator().manual_seed(seed)
    states = tuple(
        torch.randn(3, 4, width, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(layers + 1)
    )
    logits = torch.randn(3, labels, generator=generator, dtype=torch.float64).requires_grad_()
    return SequenceClassifierOutput(logits=logits, hidden_states=states)


def softmax(row: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Of one row of logits."""
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Mean over rows of -log of the label's probability."""
    rows = zip(logits.tolist(), labels.tolist(), strict=True)
    return -sum(math.log(softmax(row)[label]) for row, label in rows) / len(logits)


def soft_entropy(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """Mean over rows of the student's cross entropy against the teacher's distribution."""
    total = 0.0
    for of_student, of_teacher in zip(student.tolist(), teacher.tolist(), strict=True):
        pairs = zip(softmax(of_student, temperature), softmax(of_teacher, temperature), strict=True)
        total -= sum(wanted * math.log(found) for found, wanted in pairs)
    return total / len(student)


def kl(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """Mean over rows of KL(teacher || student)."""
    return soft_entropy(student, teacher, temperature) - soft_entropy(teacher, teacher, temperature)


def squared_error(mine: Tensor, theirs: Tensor) -> float:
    """Mean squared difference of (3, 4, width) states over the real tokens of MASK."""
    found = [
        (float(mine[row, token, feature]) - float(theirs[row, token, feature])) ** 2
        for row in range(3)
        for token in range(4)
        if MASK[row, token]
        for feature in range(mine.shape[2])
    ]
    return sum(found) / len(found)


def linear(weight: Tensor, bias: Tensor, vector: Sequence[float]) -> list[float]:
    """One vector through one layer."""
    return [
        sum(w * v for w, v in zip(row, vector, strict=True)) + add
        for row, add in zip(weight.tolist(), bias.tolist(), strict=True)
    ]


def check_slopes(loss: Callable[[], Tensor], wanted: Sequence[Tensor], step: float = 1e-6) -> None:
    """Compare gradients with finite differences, at three entries of each tensor."""
    slopes = torch.autograd.grad(loss(), wanted, allow_unused=True)
    for tensor, slope in zip(wanted, slopes, strict=True):
        assert slope is not None
        flat = tensor.detach().view(-1)
        for place in {0, flat.numel() // 2, flat.numel() - 1}:
            kept = flat[place].item()
            values = []
            for sign in (1, -1):
                flat[place] = kept + sign * step
                values.append(loss().item())
            flat[place] = kept
            found = (values[0] - values[1]) / (2 * step)
            assert math.isclose(slope.view(-1)[place].item(), found, rel_tol=1e-4, abs_tol=1e-7)
