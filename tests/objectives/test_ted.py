"""TED against arithmetic by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.objectives import Ted
from tests.builders.tiny import make_batch, make_bert
from tests.objectives.arithmetic import (
    LABELS,
    MASK,
    TARGETS,
    check_slopes,
    cross_entropy,
    kl,
    linear,
    make_output,
    squared_error,
)


def make_ted(regression: bool = False, labels: int = 3, layers: int = 3, **own: Any) -> Ted:
    objective = Ted(DistillationConfig.model_validate({"objective": "ted", "ted": own}), regression=regression)
    config = SimpleNamespace(
        hidden_size=5, num_hidden_layers=layers, num_labels=labels, is_encoder_decoder=False, model_type="tiny"
    )
    model: Any = SimpleNamespace(config=config)
    torch.manual_seed(1)
    network = objective.make_network(model, model, None)  # type: ignore[arg-type]
    return objective if network is None else objective.with_network(network.double())


def filtered(side: Any, layer: int, state: Tensor) -> Tensor:
    """A state through the filter of a layer, token by token."""
    one = side.filters[layer - 1]
    rows = [[linear(one.weight, one.bias, state[row, token].tolist()) for token in range(4)] for row in range(3)]
    return torch.tensor(rows, dtype=torch.float64)


def test_the_loss() -> None:
    student, teacher = make_output(0), make_output(1)
    objective = make_ted(logits_weight=3.0, filters_weight=7.0, width=2)
    found = objective(student, teacher, {"attention_mask": MASK, "labels": LABELS})
    errors = [
        squared_error(
            filtered(objective.network.student, layer, student.hidden_states[layer]),
            filtered(objective.network.teacher, layer, teacher.hidden_states[layer]),
        )
        for layer in (1, 2, 3)
    ]
    wanted = cross_entropy(student.logits, LABELS)
    wanted += 3 * 4 * kl(student.logits, teacher.logits, 2.0) + 7 * sum(errors) / 3
    assert found.item() == pytest.approx(wanted, rel=1e-9)


def test_the_loss_of_a_regression() -> None:
    student, teacher = make_output(0, labels=1), make_output(1, labels=1)
    objective = make_ted(regression=True, labels=1, filters_weight=0.0, logits_weight=3.0)
    assert objective.network is None and objective.epochs_before == 0
    found = objective(student, teacher, {"attention_mask": MASK, "labels": TARGETS})
    mine, theirs = student.logits.flatten().tolist(), teacher.logits.flatten().tolist()
    against_labels = sum((a - b) ** 2 for a, b in zip(mine, TARGETS.tolist(), strict=True)) / 3
    against_teacher = sum((a - b) ** 2 for a, b in zip(mine, theirs, strict=True)) / 3
    assert found.item() == pytest.approx(against_labels + 3 * against_teacher, rel=1e-9)


def test_without_filters_of_the_teacher_its_states_are_compared() -> None:
    student, teacher = make_output(0), make_output(1)
    objective = make_ted(teacher_filters=False, logits_weight=0.0, filters_weight=1.0)
    found = objective(student, teacher, {"attention_mask": MASK, "labels": LABELS})
    errors = [
        squared_error(
            filtered(objective.network.student, layer, student.hidden_states[layer]), teacher.hidden_states[layer]
        )
        for layer in (1, 2, 3)
    ]
    assert found.item() == pytest.approx(cross_entropy(student.logits, LABELS) + sum(errors) / 3, rel=1e-9)
    assert not any(name.startswith("teacher") for name, _ in objective.network.named_parameters())


def head_loss(side: Any, layer: int, state: Tensor) -> float:
    """Cross entropy of a layer's head, whose pooler takes the mean of the real tokens."""
    found, pooler, head = filtered(side, layer, state), side.poolers[layer - 1], side.heads[layer - 1]
    logits = []
    for row in range(3):
        real = [found[row, token].tolist() for token in range(4) if MASK[row, token]]
        mean = [sum(column) / len(real) for column in zip(*real, strict=True)]
        pooled = [math.tanh(value) for value in linear(pooler.weight, pooler.bias, mean)]
        logits.append(linear(head.weight, head.bias, pooled))
    return cross_entropy(torch.tensor(logits), LABELS)


def test_the_loss_before() -> None:
    student, teacher = make_output(0), make_output(1)
    objective = make_ted()
    found = objective.loss_before(student, teacher, {"attention_mask": MASK, "labels": LABELS})
    sides = ((objective.network.student, student), (objective.network.teacher, teacher))
    wanted = [sum(head_loss(side, layer, out.hidden_states[layer]) for layer in (1, 2, 3)) / 3 for side, out in sides]
    assert found.item() == pytest.approx(sum(wanted), rel=1e-6)
    assert objective.epochs_before == 1


def test_slopes() -> None:
    student, teacher = make_output(0), make_output(1)
    objective = make_ted(filter_layers=2, width=4)
    batch = {"attention_mask": MASK, "labels": LABELS}
    learns = [p for p in objective.network.parameters() if p.requires_grad]
    assert len(learns) == 3 * 4
    check_slopes(lambda: objective(student, teacher, batch), [student.logits, *student.hidden_states[1:], *learns])
    objective.network.requires_grad_(True)
    check_slopes(lambda: objective.loss_before(student, teacher, batch), list(objective.network.parameters()))


def test_padding_does_not_matter() -> None:
    student, teacher = make_output(0), make_output(1)
    objective, batch = make_ted(), {"attention_mask": MASK, "labels": LABELS}
    before = [objective(student, teacher, batch), objective.loss_before(student, teacher, batch)]
    with torch.no_grad():
        for states in (*student.hidden_states, *teacher.hidden_states):
            states[MASK == 0] = 1e3 * torch.randn_like(states[MASK == 0])
    assert [objective(student, teacher, batch), objective.loss_before(student, teacher, batch)] == before


def test_several_labels_are_as_many_tasks() -> None:
    """Logits of a text and label against 0, as tasks/multi_label.py gives them; heads have one for each label."""
    student, teacher = make_output(0, labels=2), make_output(1, labels=2)
    objective = make_ted(labels=2)
    labels = torch.tensor([1, 0, 0, 0, 1, 1])
    found = objective.loss_before(student, teacher, {"attention_mask": MASK, "labels": labels})
    wanted = 0.0
    for side, output in ((objective.network.student, student), (objective.network.teacher, teacher)):
        states = [output.hidden_states[layer] for layer in (1, 2, 3)]
        for logits in side.predictions(states, MASK):
            wanted += torch.nn.functional.binary_cross_entropy_with_logits(logits.flatten(), labels.double()).item() / 3
    assert found.item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("layers", "compared"), [(2, [1, 2]), (6, [1, 2, 3, 4, 5, 6]), (12, [2, 4, 6, 8, 10, 12])])
def test_layers_are_those_of_the_paper_without_embeddings(layers: int, compared: list[int]) -> None:
    assert make_ted(layers=layers).compared_states(layers + 1) == compared


def test_a_models_filters_fit() -> None:
    model, batch = make_bert(labels=3), make_batch()
    objective = make_ted()
    network = objective.make_network(model, model, None)  # type: ignore[arg-type]
    assert network is not None
    objective = objective.with_network(network)
    output = model(**batch, output_hidden_states=True)
    assert torch.isfinite(objective(output, output, batch)) and torch.isfinite(
        objective.loss_before(output, output, batch)
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"ted": {"filter_weight": 1.0}},
            "distillation.ted.filter_weight: unknown key; did you mean 'filters_weight'?",
        ),
        ({"ted": {"filters_weight": -1.0}}, "distillation.ted.filters_weight: -1.0 cannot be used"),
        ({"ted": {"filter_layers": 3}}, "distillation.ted.filter_layers: 3 cannot be used"),
        ({"ted": {"epochs": 0.0}}, "distillation.ted.epochs: 0 leaves the teacher's filters as chance made them"),
        ({"ted": {"width": 4, "teacher_filters": False}}, "distillation.ted.width: 4 beside .*teacher_filters: false"),
        ({"ted": [1]}, r"distillation.ted: \[1\] cannot be used: give keys and values"),
        ({"temperature": 3.0}, "distillation.temperature: 3.0 does nothing with distillation.objective: ted"),
        ({"loss_weights": [0.5, 0.5]}, "distillation.loss_weights: .* does nothing with distillation.objective: ted"),
    ],
    ids=range(8),
)
def test_settings_that_cannot_be_used(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Ted(DistillationConfig.model_validate({"objective": "ted", **settings}), regression=False)
