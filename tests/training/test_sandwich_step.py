"""One step of the sandwich is the gradient of the mean loss; the teacher runs once and stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from transformers import TrainerCallback

from minidisc_plugin import NestedModel
from minidisc_plugin.foundation.errors import NonFiniteLossError
from minidisc_plugin.training.scale_sampler import Drawn
from tests.training.making import (
    PLAIN_STEP,
    SCALES,
    STILL,
    Bench,
    distillation_loss,
    make_nested,
    make_teacher,
    sampler,
    weights,
)


def mean_gradient(nested: NestedModel, drawn: list[Drawn], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the weighted sum of the scales' losses, all in one graph."""
    teacher, losses = make_teacher(), []
    for draw in drawn:
        nested.set_scale(draw.scale)
        losses.append(draw.weight * distillation_loss(nested, teacher, batch))
    torch.stack(losses).sum().backward()
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in nested.model.named_parameters()
    }


@pytest.mark.parametrize("random_scales", [None, 1])
def test_a_step_follows_the_gradient_of_the_mean_loss(bench: Bench, random_scales: int | None) -> None:
    drawn = sampler(random_scales).draw(0)
    assert [draw.weight for draw in drawn] == ([0.25] * 4 if random_scales is None else [0.25, 0.5, 0.25])
    expected = mean_gradient(make_nested(**STILL), drawn, bench.collated())
    nested = make_nested(**STILL)
    before = weights(nested.model)
    bench.sandwich(nested, random_scales, max_steps=1, per_device_train_batch_size=48, **PLAIN_STEP).train()
    assert max(gradient.abs().max() for gradient in expected.values()) > 0.01
    for name, parameter in nested.model.named_parameters():
        torch.testing.assert_close(before[name] - parameter.detach(), expected[name], atol=1e-6, rtol=1e-5)


def test_the_loss_that_is_logged_is_the_mean(bench: Bench) -> None:
    teacher, nested = make_teacher(), make_nested(**STILL)
    losses = []
    for scale in SCALES:
        nested.set_scale(scale)
        losses.append(distillation_loss(nested, teacher, bench.collated()).item())
    trainer = bench.sandwich(nested, max_steps=1, per_device_train_batch_size=48, logging_steps=1)
    assert trainer.train().training_loss == pytest.approx(sum(losses) / 4, rel=1e-4)


@pytest.mark.parametrize("random_scales", [None, 1])
def test_accumulated_half_batches_make_the_step_of_a_whole_one(bench: Bench, random_scales: int | None) -> None:
    # Sentences of one length: a mean over tokens is then the mean of the halves' means.
    tokens = [[2, *(5 + (row * 7 + place) % 40 for place in range(6)), 3] for row in range(16)]
    columns = {"input_ids": tokens, "attention_mask": [[1] * 8] * 16, "labels": [row % 2 for row in range(16)]}
    bench.dataset = Dataset.from_dict(columns)
    trained = []
    for size, accumulated in ((16, 1), (8, 2)):
        nested = make_nested(**STILL)
        bench.sandwich(
            nested,
            random_scales,
            max_steps=3,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulated,
            **{**PLAIN_STEP, "learning_rate": 0.1},
        ).train()
        trained.append(weights(nested.model))
    untrained = weights(make_nested(**STILL).model)
    assert not torch.allclose(trained[0]["classifier.weight"], untrained["classifier.weight"], atol=1e-4)
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("random_scales", [None, 1])
def test_the_teacher_runs_once_a_batch_and_stays_as_it_is(
    bench: Bench, random_scales: int | None, accumulated: int
) -> None:
    teacher = make_teacher().train()
    before, calls = weights(teacher), []
    teacher.register_forward_hook(lambda *_: calls.append(teacher.training))
    bench.sandwich(
        make_nested(),
        random_scales,
        trainer={"teacher": teacher},
        max_steps=3,
        gradient_accumulation_steps=accumulated,
    ).train()
    assert calls == [False] * 3 * accumulated
    assert all(torch.equal(parameter, before[name]) for name, parameter in teacher.named_parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_each_batch_is_compared_with_the_teacher_on_that_batch(bench: Bench) -> None:
    """A teacher kept from the step before would give other losses."""
    nested, losses = make_nested(**STILL), []
    trainer = bench.sandwich(
        nested, per_device_train_batch_size=8, max_steps=6, **{**PLAIN_STEP, "learning_rate": 1e-12}
    )
    batches: list[dict[str, Tensor]] = []
    compute = trainer.teacher_outputs

    def remember(features: dict[str, Tensor]) -> Any:
        if not batches or batches[-1] is not features:
            batches.append(features)
        return compute(features)

    trainer.teacher_outputs = remember
    found = trainer.train().training_loss
    teacher = make_teacher()
    for scale in SCALES:
        nested.set_scale(scale)
        nested.model.eval()
        losses += [distillation_loss(nested, teacher, batch).item() for batch in batches]
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-4)


class Poison(TrainerCallback):
    """Breaks one weight after a number of steps, and remembers the weights."""

    def __init__(self, weight: Tensor, value: float, after: int) -> None:
        self.weight, self.value, self.after = weight, value, after
        self.weights: dict[str, Tensor] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == self.after:
            with torch.no_grad():
                self.weight.fill_(self.value)
            self.weights = weights(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(bench: Bench, value: float) -> None:
    nested = make_nested()
    _, of_smaller = nested.sizes(0.6)
    assert nested.sizes(0.9)[1][0] > of_smaller[0]
    only_largest = nested.model.bert.encoder.layer[0].output.dense.weight[:, of_smaller[0]]
    poison = Poison(only_largest, value, after=2)
    trainer = bench.sandwich(nested, trainer={"callbacks": [poison]}, max_steps=6)
    with pytest.raises(NonFiniteLossError, match=r"step 3: the loss of the candidate of scale 0\.9 is (nan|inf)"):
        trainer.train()
    assert nested.scale == nested.largest_scale
    for name, parameter in nested.model.named_parameters():
        torch.testing.assert_close(parameter, poison.weights[name], atol=0, rtol=0, equal_nan=True)


def test_the_smallest_scale_is_named_where_it_fails_first(bench: Bench) -> None:
    nested = make_nested()
    poison = Poison(nested.model.classifier.bias, float("nan"), after=1)
    with pytest.raises(NonFiniteLossError, match=r"step 2: .* scale 0\.3 is nan"):
        bench.sandwich(nested, trainer={"callbacks": [poison]}, max_steps=6).train()


def test_a_student_that_diverges_is_named(bench: Bench) -> None:
    student = make_nested().extract(0.3)
    poison = Poison(student.classifier.bias, float("nan"), after=3)
    with pytest.raises(NonFiniteLossError, match=r"step 4: the loss of student is nan.*last good checkpoint"):
        bench.distil(student, trainer={"callbacks": [poison]}, max_steps=6).train()
    for name, parameter in student.named_parameters():
        torch.testing.assert_close(parameter, poison.weights[name], atol=0, rtol=0, equal_nan=True)
