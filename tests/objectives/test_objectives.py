"""Objectives against arithmetic done by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput

from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives import KnowledgeDistillation, MiniDiscObjective
from minidisc_plugin.objectives.terms import compared_layers
from tests.builders.tiny import make_batch, make_bert
from tests.objectives.arithmetic import MASK, soft_entropy


def make_output(seed: int, layers: int = 3, labels: int = 2) -> SequenceClassifierOutput:
    generator = torch.Generator().manual_seed(seed)
    states = tuple(torch.randn(3, 4, 5, generator=generator) for _ in range(layers + 1))
    return SequenceClassifierOutput(logits=torch.randn(3, labels, generator=generator), hidden_states=states)


def real_tokens_error(student: Tensor, teacher: Tensor, mask: Tensor) -> float:
    """Mean squared difference over the entries of real tokens, one by one."""
    differences = [
        (float(student[row, token, feature]) - float(teacher[row, token, feature])) ** 2
        for row in range(mask.shape[0])
        for token in range(mask.shape[1])
        if mask[row, token]
        for feature in range(student.shape[2])
    ]
    return sum(differences) / len(differences)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (6, [0, 1, 2, 3, 4, 5, 6]),
        (12, [0, 2, 4, 6, 8, 10, 12]),
        (24, [0, 4, 8, 12, 16, 20, 24]),
    ],
)
def test_the_embeddings_and_every_sixth_part_are_compared(layers: int, expected: list[int]) -> None:
    assert compared_layers(layers) == expected


@pytest.mark.parametrize("layers", range(1, 40))
def test_any_depth_is_compared_from_end_to_end(layers: int) -> None:
    compared = compared_layers(layers)
    assert compared == sorted(set(compared)) and compared[0] == 0 and compared[-1] == layers
    assert len(compared) == min(layers, 6) + 1
    steps = {after - before for before, after in itertools.pairwise(compared)}
    assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("layers", [3, 6, 12, 24])
def test_the_papers_loss(layers: int, temperature: float) -> None:
    student, teacher = make_output(0, layers), make_output(1, layers)
    objective = MiniDiscObjective(DistillationConfig(temperature=temperature), regression=False)
    found = objective(student, teacher, {"attention_mask": MASK})
    step = max(layers // 6, 1)
    errors = [
        real_tokens_error(student.hidden_states[layer], teacher.hidden_states[layer], MASK)
        for layer in range(0, layers + 1, step)
    ]
    expected = (sum(errors) / len(errors) + soft_entropy(student.logits, teacher.logits, temperature)) / 2
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert objective.needs_hidden_states


def test_the_papers_loss_of_a_regression() -> None:
    student, teacher = make_output(0, labels=1), make_output(1, labels=1)
    found = MiniDiscObjective(DistillationConfig(), regression=True)(student, teacher, {"attention_mask": MASK})
    pairs = zip(student.hidden_states, teacher.hidden_states, strict=True)
    errors = [real_tokens_error(one, other, MASK) for one, other in pairs]
    logits = sum((a - b) ** 2 for [a], [b] in zip(student.logits.tolist(), teacher.logits.tolist(), strict=True)) / 3
    assert found.item() == pytest.approx((sum(errors) / 4 + logits) / 2, rel=1e-5)


def test_what_stands_at_padding_does_not_matter() -> None:
    student, teacher = make_output(0), make_output(1)
    objective = MiniDiscObjective(DistillationConfig(), regression=False)
    expected = objective(student, teacher, {"attention_mask": MASK})
    for states in (*student.hidden_states, *teacher.hidden_states):
        states[MASK == 0] = 1e3 * torch.randn_like(states[MASK == 0])
    assert objective(student, teacher, {"attention_mask": MASK}) == expected
    assert objective(student, teacher, {}) > 100 * expected  # without a mask every token is real


def test_the_papers_loss_of_models_is_independent_of_padding() -> None:
    teacher, student, batch = make_bert(labels=3, seed=1), make_bert(labels=3), make_batch(tokens=12, padded=False)
    objective = MiniDiscObjective(DistillationConfig(), regression=False)
    losses = []
    for tokens in (12, 20):
        padded = {"input_ids": batch["input_ids"].new_full((6, tokens), 9)}
        padded["input_ids"][:, :12] = batch["input_ids"]
        padded["attention_mask"] = (torch.arange(tokens) < 12).long().expand(6, -1)
        outputs = [model(**padded, output_hidden_states=True) for model in (student, teacher)]
        losses.append(objective(*outputs, padded).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_knowledge_distillation_of_a_regression() -> None:
    student, teacher = make_output(0, labels=1), make_output(1, labels=1)
    labels = torch.tensor([1, -2, 3])
    settings = DistillationConfig(loss_weights=(0.25, 0.75))
    objective = KnowledgeDistillation(settings, regression=True)
    found = objective(student, teacher, {"labels": labels})
    mine, theirs = student.logits.flatten().tolist(), teacher.logits.flatten().tolist()
    against_labels = sum((a - b) ** 2 for a, b in zip(mine, labels.tolist(), strict=True)) / 3
    against_teacher = sum((a - b) ** 2 for a, b in zip(mine, theirs, strict=True)) / 3
    assert found.item() == pytest.approx(0.25 * against_labels + 0.75 * against_teacher, rel=1e-5)
    assert not objective.needs_hidden_states


def test_knowledge_distillation_without_labels_needs_none() -> None:
    student, teacher = make_output(0), make_output(1)
    settings = DistillationConfig(loss_weights=(0, 1))
    found = KnowledgeDistillation(settings, regression=False)(student, teacher, {})
    assert found.item() == pytest.approx(soft_entropy(student.logits, teacher.logits, 1.0), rel=1e-5)


@pytest.mark.parametrize(
    ("types", "regression", "message"),
    [
        (("KL", "CE"), False, "'KL' is not one of CE, MSE"),
        (("CE", "L1"), False, "'L1' is not one of CE, KL, MSE"),
        (("ce", "CE"), False, "'ce' is not one of CE, MSE"),
        (("CE", "MSE"), True, "needs"),
        (("MSE", "KL"), True, "needs"),
    ],
)
def test_loss_types_that_do_not_exist_are_refused(types: tuple[str, str], regression: bool, message: str) -> None:
    with pytest.raises(ConfigError, match=f"distillation.loss_types: .*{message}"):
        KnowledgeDistillation(DistillationConfig(loss_types=types), regression=regression)


@pytest.mark.parametrize("settings", [{"loss_types": ("CE", "CE")}, {"loss_weights": (0.5, 0.5)}], ids=str)
def test_the_papers_objective_refuses_settings_that_it_would_ignore(settings: dict[str, tuple[str, str]]) -> None:
    with pytest.raises(ConfigError, match=f"distillation.{next(iter(settings))}: .*knowledge_distillation"):
        MiniDiscObjective(DistillationConfig(**settings), regression=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"loss_weights": [0.5, 0.6]},
        {"loss_weights": [1.5, -0.5]},
        {"loss_weights": [1.0]},
        {"loss_types": ["CE"]},
        {"temprature": 2},
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        validate(DistillationConfig, settings)
