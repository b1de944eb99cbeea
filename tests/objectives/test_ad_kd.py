"""AD-KD against arithmetic by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.objective import PROGRESS
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives import AdKd
from minidisc_plugin.training.observing import observed, plain_attention
from tests.builders.tiny import make_batch, make_bert
from tests.objectives.arithmetic import LABELS, MASK, TARGETS, check_slopes, cross_entropy, soft_entropy, softmax

WIDTH = 5


class Reader:
    """A model whose logits are cubes of what a layer makes of the sum of all vectors; its slopes are known."""

    def __init__(self, seed: int, labels: int = 3) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(labels, WIDTH, generator=generator, dtype=torch.float64)
        self.embedded = torch.randn(3, 4, WIDTH, generator=generator, dtype=torch.float64).requires_grad_()

    def __call__(self) -> Any:
        seen = (self.embedded * MASK.unsqueeze(-1)).sum(1) @ self.weight.T
        return SimpleNamespace(logits=seen.pow(3) / 10, hidden_states=(self.embedded,))

    def attributions(self, slopes_of_logits: list[list[float]], top_k: int = WIDTH) -> list[list[float]]:
        """Norms of slope times vector, by text and token, of norm 1 over the tokens; 0 at padding."""
        found = []
        for row in range(3):
            seen = [sum(float(self.embedded[row, t, d]) * MASK[row, t].item() for t in range(4)) for d in range(WIDTH)]
            inner = [sum(float(self.weight[c, d]) * seen[d] for d in range(WIDTH)) for c in range(len(self.weight))]
            slope = [
                sum(
                    slopes_of_logits[row][c] * 3 * inner[c] ** 2 / 10 * float(self.weight[c, d])
                    for c in range(len(inner))
                )
                for d in range(WIDTH)
            ]
            norms = []
            for t in range(4):
                parts = sorted((abs(slope[d] * float(self.embedded[row, t, d])) for d in range(WIDTH)), reverse=True)
                norms.append(math.sqrt(sum(part**2 for part in parts[:top_k])) * MASK[row, t].item())
            whole = math.sqrt(sum(norm**2 for norm in norms))
            found.append([norm / whole for norm in norms])
        return found


def slopes_of_label(logits: Tensor) -> list[list[float]]:
    """Of the cross entropy, summed over texts, by each logit."""
    return [
        [p - (c == label) for c, p in enumerate(softmax(row))]
        for row, label in zip(logits.tolist(), LABELS.tolist(), strict=True)
    ]


def slopes_of_class(logits: Tensor, chosen: int) -> list[list[float]]:
    return [[p - (c == chosen) for c, p in enumerate(softmax(row))] for row in logits.tolist()]


def make_ad_kd(regression: bool = False, **own: Any) -> AdKd:
    return AdKd(DistillationConfig.model_validate({"objective": "ad_kd", "ad_kd": own}), regression=regression)


def asked(objective: AdKd, teacher: Reader, labels: Tensor = LABELS) -> dict[str, Tensor]:
    batch = {"attention_mask": MASK, "labels": labels}
    return {**batch, **objective.observe(None, teacher(), batch)}  # type: ignore[arg-type]


def total(mine: list[list[float]], theirs: list[list[float]]) -> tuple[float, int]:
    pairs = [(a, b) for row, other in zip(mine, theirs, strict=True) for a, b in zip(row, other, strict=True)]
    return sum((a - b) ** 2 for a, b in pairs), sum(b != 0 for _, b in pairs)


@pytest.mark.parametrize("top_k", [2, 5, 768])
def test_the_loss(top_k: int) -> None:
    student, teacher = Reader(0), Reader(1)
    objective = make_ad_kd(teacher_weight=0.7, temperature=3.0, attribution_weight=2.0, top_k=top_k)
    found = objective(student(), teacher(), asked(objective, teacher))
    mine = student.attributions(slopes_of_label(student().logits))
    theirs = teacher.attributions(slopes_of_label(teacher().logits), min(top_k, WIDTH))
    error, count = total(mine, theirs)
    assert count == int(MASK.sum())
    wanted = 0.3 * cross_entropy(student().logits, LABELS) + 2 * error / count
    wanted += 0.7 * soft_entropy(student().logits, teacher().logits, 3.0)
    assert found.item() == pytest.approx(wanted, rel=1e-5)  # attributions are in single precision


def test_a_temperature_that_is_annealed() -> None:
    student, teacher = Reader(0), Reader(1)
    objective = make_ad_kd(teacher_weight=1.0, temperature=5.0, attribution_weight=0.0, annealed=True)
    for progress, temperature in ((0.0, 5.0), (0.25, 4.0), (0.75, 2.0)):
        batch = {**asked(objective, teacher), PROGRESS: torch.tensor(progress)}
        wanted = soft_entropy(student().logits, teacher().logits, temperature)
        assert objective(student(), teacher(), batch).item() == pytest.approx(wanted)
    with pytest.raises(ConfigError, match=r"^distillation.ad_kd.annealed: true: a regression has no temperature"):
        make_ad_kd(regression=True, annealed=True)


def test_the_loss_of_several_views() -> None:
    student, teacher = Reader(0), Reader(1)
    objective = make_ad_kd(teacher_weight=0.0, views=True)
    found = objective(student(), teacher(), asked(objective, teacher))
    parts = [
        total(
            student.attributions(slopes_of_class(student().logits, chosen)),
            teacher.attributions(slopes_of_class(teacher().logits, chosen)),
        )
        for chosen in range(3)
    ]
    error = sum(part for part, _ in parts) / sum(count for _, count in parts)
    assert found.item() == pytest.approx(cross_entropy(student().logits, LABELS) + error, rel=1e-5)


def test_the_loss_of_a_regression() -> None:
    student, teacher = Reader(0, labels=1), Reader(1, labels=1)
    objective = make_ad_kd(regression=True, teacher_weight=0.25)
    found = objective(student(), teacher(), asked(objective, teacher, TARGETS))

    def slopes(reader: Reader) -> list[list[float]]:
        return [[2 * (a - b)] for [a], b in zip(reader().logits.tolist(), TARGETS.tolist(), strict=True)]

    error, count = total(student.attributions(slopes(student)), teacher.attributions(slopes(teacher)))
    logits, others = student().logits.flatten(), teacher().logits.flatten()
    wanted = 0.75 * (logits - TARGETS).pow(2).mean() + 0.25 * (logits - others).pow(2).mean()
    assert found.item() == pytest.approx(wanted.item() + error / count, rel=1e-5)


def test_slopes() -> None:
    student, teacher = Reader(0), Reader(1)
    objective = make_ad_kd(attribution_weight=5.0)
    batch = asked(objective, teacher)
    check_slopes(lambda: objective(student(), teacher(), batch), [student.embedded], step=1e-3)


def models() -> tuple[PreTrainedModel, PreTrainedModel, dict[str, Tensor]]:
    return make_bert(labels=3, seed=2), make_bert(labels=3), make_batch()


def loss_of(objective: AdKd, teacher: PreTrainedModel, student: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    seen = observed(objective, teacher, inputs, {}, batch)
    with plain_attention():
        output = student(**inputs, output_hidden_states=True)
    return objective(output, seen, {**batch, "attributions": seen.attributions})


def test_a_model_that_follows_itself_has_no_error_but_its_own() -> None:
    teacher, student, batch = models()
    objective = make_ad_kd(teacher_weight=0.0, attribution_weight=1e5)
    excess = [loss_of(objective, teacher, one, batch).item() - one(**batch).loss.item() for one in (teacher, student)]
    assert abs(excess[0]) < 1e-3 and excess[1] > 10


def test_second_derivatives_reach_every_layer() -> None:
    teacher, student, batch = models()
    objective = make_ad_kd(teacher_weight=0.0)
    by_labels, weights = student(**batch).loss, list(student.parameters())
    wanted = torch.autograd.grad(by_labels, weights, allow_unused=True)
    found = torch.autograd.grad(loss_of(objective, teacher, student, batch), weights, allow_unused=True)
    names = [name for name, _ in student.named_parameters()]
    for name, mine, plain in zip(names, found, wanted, strict=True):
        if plain is not None and plain.abs().max() > 1e-6:
            assert mine is not None and not torch.allclose(mine, plain, rtol=1e-3), name


def test_padding_does_not_matter() -> None:
    teacher, student, batch = models()
    objective = make_ad_kd()
    longer = {name: torch.nn.functional.pad(value, (0, 5)) for name, value in batch.items() if name != "labels"}
    longer["labels"] = batch["labels"]
    short, long = (loss_of(objective, teacher, student, one).item() for one in (batch, longer))
    assert long == pytest.approx(short, rel=1e-4)


def test_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match=r"distillation.ad_kd.views: true: a regression has one view"):
        make_ad_kd(regression=True, views=True)
    with pytest.raises(ConfigError, match=r"distillation.ad_kd.top_k: 0 cannot be used"):
        make_ad_kd(top_k=0)
