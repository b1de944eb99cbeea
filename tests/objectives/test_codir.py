"""CoDIR against arithmetic by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor

from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.objective import EXAMPLE
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.objectives import Codir
from tests.objectives.arithmetic import LABELS, MASK, check_slopes, cross_entropy, kl, linear, make_output

ALL_LABELS = [1, 0, 2, 0, 1, 2, 2]
PLACES = torch.tensor([4, 3, 5])  # of the batch, whose labels are LABELS


def make_codir(labels: list[Any] | None = None, regression: bool = False, **own: Any) -> Codir:
    settings = DistillationConfig.model_validate({"objective": "codir", "codir": {"width": 4, "negatives": 6, **own}})
    objective = Codir(settings, regression=regression)
    config = SimpleNamespace(hidden_size=5, num_hidden_layers=3, is_encoder_decoder=False, model_type="tiny")
    model: Any = SimpleNamespace(config=config)
    torch.manual_seed(1)
    examples = Dataset.from_dict({"labels": ALL_LABELS if labels is None else labels})
    network = objective.make_network(model, model, examples)
    assert network is not None
    return objective.with_network(network)


BATCH = {"attention_mask": MASK, "labels": LABELS, EXAMPLE: PLACES}


def unit(vector: list[float]) -> list[float]:
    size = math.sqrt(sum(value**2 for value in vector))
    return [value / size for value in vector]


def picture(layer: Any, output: Any) -> list[list[float]]:
    """Means over the real tokens of layers 1 to 3, side by side, mapped to unit vectors."""
    found = []
    for row in range(3):
        means = []
        for state in output.hidden_states[1:]:
            real = [state[row, token].tolist() for token in range(4) if MASK[row, token]]
            means += [sum(column) / len(real) for column in zip(*real, strict=True)]
        found.append(unit(linear(layer.weight, layer.bias, means)))
    return found


def contrast(seen: list[list[float]], bank: list[list[float]], others: list[list[int]], scale: float | None) -> Any:
    """-[log h(own) + sum of log(1 - h)] by text, the mean, and the scale that it was with."""
    powers = []
    for row, place in enumerate(PLACES.tolist()):
        near = [sum(a * b for a, b in zip(seen[row], bank[one], strict=True)) for one in (place, *others[row])]
        powers.append([math.exp(value / 0.07) for value in near])
    scale = scale or len(ALL_LABELS) * sum(map(sum, powers)) / sum(map(len, powers))
    noise = 6 / len(ALL_LABELS)
    losses = []
    for row in powers:
        h = [power / scale / (power / scale + noise) for power in row]
        losses.append(-math.log(h[0]) - sum(math.log(1 - one) for one in h[1:]))
    return sum(losses) / 3, scale


def drawn(objective: Codir, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The same negatives at each call, of other labels."""
    others = objective.network._others(PLACES)
    monkeypatch.setattr(objective.network, "_others", lambda examples: others)
    return [list(map(int, row)) for row in others.tolist()]


def test_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = make_output(0), make_output(1)
    objective = make_codir(teacher_weight=0.25, temperature=3.0, contrast_weight=2.0)
    network = objective.network
    others = drawn(objective, monkeypatch)
    banks = {"student": network.student_bank.tolist(), "teacher": network.teacher_bank.tolist()}
    scales: dict[str, float | None] = {"student": None, "teacher": None}
    plain = 0.75 * cross_entropy(student.logits, LABELS) + 0.25 * 9 * kl(student.logits, teacher.logits, 3.0)
    mine, theirs = picture(network.student, student), picture(network.teacher, teacher)
    for _ in range(2):  # scales stay, banks move on
        first, scales["student"] = contrast(mine, banks["teacher"], others, scales["student"])
        second, scales["teacher"] = contrast(theirs, banks["student"], others, scales["teacher"])
        found = objective(student, teacher, BATCH)
        assert found.item() == pytest.approx(plain + 2 * (first + second) / 2, rel=1e-4)
        for name, seen in (("student", mine), ("teacher", theirs)):
            for row, place in enumerate(PLACES.tolist()):
                mixed = [(a + b) / 2 for a, b in zip(banks[name][place], seen[row], strict=True)]
                banks[name][place] = unit(mixed)
            torch.testing.assert_close(
                getattr(network, f"{name}_bank"), torch.tensor(banks[name]), rtol=1e-5, atol=1e-6
            )


def test_others_have_other_labels() -> None:
    network = make_codir(negatives=200).network
    others = network._others(PLACES)
    assert others.shape == (3, 200)
    for row, label in enumerate(LABELS.tolist()):
        seen = set(others[row].tolist())
        assert seen == {place for place, other in enumerate(ALL_LABELS) if other != label}
    again = network._others(PLACES[1:])
    assert torch.equal(again, others[1:])  # as another process would draw them
    network.looks += 1
    assert not torch.equal(network._others(PLACES), others)


def test_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = make_output(0), make_output(1)
    objective = make_codir(momentum=0.5)
    drawn(objective, monkeypatch)
    network = objective.network
    monkeypatch.setattr(network, "_remember", lambda *_: None)
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    network.double()
    objective(student, teacher, BATCH)
    learns = list(network.parameters())
    assert len(learns) == 4
    check_slopes(lambda: objective(student, teacher, BATCH), [student.logits, *student.hidden_states[1:], *learns])


def test_padding_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = make_output(0), make_output(1)
    objective = make_codir()
    drawn(objective, monkeypatch)
    monkeypatch.setattr(objective.network, "_remember", lambda *_: None)
    before = objective(student, teacher, BATCH)
    with torch.no_grad():
        for states in (*student.hidden_states, *teacher.hidden_states):
            states[MASK == 0] = 1e3 * torch.randn_like(states[MASK == 0])
    assert objective(student, teacher, BATCH) == before


def test_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="'codir' contrasts texts of different classes, and a regression has none"):
        make_codir(regression=True)
    with pytest.raises(ConfigError, match="and these have several each"):
        make_codir(labels=[[1, 0], [0, 1]])
    with pytest.raises(DataError, match="and all of train are of one"):
        make_codir(labels=[1, 1, 1])
