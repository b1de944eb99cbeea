"""Recorded passes are the passes, on a CUDA device."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minidisc_plugin.training.recorded_passes import RecordedPasses
from tests.builders.tiny import make_batch
from tests.training.making import PLAIN_STEP, STILL, Bench, make_nested, make_teacher, weights

pytestmark = pytest.mark.gpu
OPTIONS = {"output_hidden_states": True}


def batch_of(seed: int, tokens: int = 12) -> dict[str, Tensor]:
    batch = make_batch(tokens=tokens, seed=seed)
    return {name: batch[name].cuda() for name in ("input_ids", "attention_mask")}


def loss_of(outputs: Any, mask: Tensor) -> Tensor:
    states = [(state * mask[..., None]).pow(2).mean() for state in outputs.hidden_states]
    return outputs.logits.pow(2).mean() + torch.stack(states).sum()


@pytest.mark.parametrize("half", [False, True])
def test_gradients_over_scales_and_lengths_are_the_same(half: bool) -> None:
    nested = make_nested(**STILL)
    nested.model.cuda().train()
    passes = RecordedPasses()
    for seed, tokens in enumerate((12, 16, 12, 16)):
        inputs = batch_of(seed, tokens)
        found = {}
        for recorded in (False, True):
            nested.model.zero_grad(set_to_none=True)
            losses = []
            for scale in (0.3, 0.5, 0.9):
                nested.set_scale(scale)
                with torch.autocast("cuda", torch.bfloat16, enabled=half):
                    outputs = (
                        passes.run(nested.model, inputs, OPTIONS, scale) if recorded else nested(**inputs, **OPTIONS)
                    )
                loss = loss_of(outputs, inputs["attention_mask"])
                loss.backward()
                losses.append(loss.item())
            gradients = {n: p.grad.clone() for n, p in nested.model.named_parameters() if p.grad is not None}
            found[recorded] = losses, gradients
        assert passes.reason is None
        torch.testing.assert_close(found[True][0], found[False][0], rtol=1e-2 if half else 1e-5, atol=0)
        assert found[True][1].keys() == found[False][1].keys()
        for name, expected in found[False][1].items():
            apart = (found[True][1][name] - expected).norm() / expected.norm().clamp_min(1e-6)
            assert apart < (2e-2 if half else 1e-4), name


def test_without_gradients_outputs_are_the_same() -> None:
    nested = make_nested(**STILL)
    nested.model.cuda().eval()
    passes = RecordedPasses()
    for seed in range(3):
        inputs = batch_of(seed)
        with torch.no_grad():
            torch.testing.assert_close(
                passes.run(nested.model, inputs, {}, None).logits, nested(**inputs).logits, rtol=1e-5, atol=1e-6
            )


class Waiting(nn.Module):
    """Asks the device for a number, which a recording cannot do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, values: Tensor) -> dict[str, Tensor]:
        return {"found": self.inner(values) * values.sum().item()}


def test_what_cannot_be_recorded_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    model, passes = Waiting().cuda(), RecordedPasses()
    values = torch.ones(2, 4, device="cuda")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = passes.run(model, {"values": values}, {}, None)["found"]
            torch.testing.assert_close(found, model(values)["found"])
    assert passes.reason is not None and passes.reason.startswith("Waiting cannot be recorded")
    assert len(caplog.records) == 1
    found.sum().backward()
    assert model.inner.weight.grad is not None
    torch.randn(3, device="cuda")  # the generator is not left in the middle of a recording


@pytest.mark.parametrize("random_scales", [None, 1])
def test_a_stage_trains_as_it_does_without(bench: Bench, random_scales: int | None) -> None:
    trained = []
    for compile in (False, True):
        nested = make_nested(**STILL)
        parts: dict[str, Any] = {"teacher": make_teacher(), "compile": compile}
        settings = {**PLAIN_STEP, "learning_rate": 0.05, "num_train_epochs": 3, "per_device_train_batch_size": 10}
        settings.pop("use_cpu", None)
        trainer = bench.sandwich(nested, random_scales, trainer=parts, use_cpu=False, **settings)
        loss = trainer.train().training_loss
        assert (trainer.passes is not None and trainer.passes.reason is None) == compile
        trained.append((loss, weights(nested.model)))
    assert trained[0][0] == pytest.approx(trained[1][0], rel=1e-5)
    for name, value in trained[0][1].items():
        torch.testing.assert_close(value, trained[1][1][name], atol=1e-5, rtol=1e-4)
