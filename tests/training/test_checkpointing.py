"""Gradient checkpointing: each scale's backward pass computes again what that scale's forward pass did."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.training.making import PLAIN_STEP, STILL, Bench, make_nested, weights

CHECKPOINTED = [
    {"gradient_checkpointing": True},
    {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
    {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
]


@pytest.mark.parametrize("random_scales", [None, 1])
@pytest.mark.parametrize("settings", CHECKPOINTED, ids=["default", "not reentrant", "reentrant"])
def test_the_sandwich_takes_the_same_step(bench: Bench, settings: dict[str, Any], random_scales: int | None) -> None:
    steps = []
    for changes in ({}, settings):
        nested, calls = make_nested(**STILL), []
        layer = nested.model.bert.encoder.layer[0].intermediate
        layer.register_forward_hook(lambda module, *_, calls=calls: calls.append(module.dense.rows))
        before = weights(nested.model)
        settled = {"max_steps": 1, "per_device_train_batch_size": 48, **PLAIN_STEP, **changes}
        bench.sandwich(nested, random_scales, **settled).train()
        steps.append({name: before[name] - value for name, value in weights(nested.model).items()})
        counts = calls
        # With checkpointing each scale's forward pass runs a second time, at the same width.
        expected = sorted(set(counts)) if not changes else [rows for rows in sorted(set(counts)) for _ in range(2)]
        assert counts == expected and len(set(counts)) == (4 if random_scales is None else 3)
    assert max(step.abs().max() for step in steps[0].values()) > 0.01
    for name, step in steps[0].items():
        torch.testing.assert_close(steps[1][name], step, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("settings", CHECKPOINTED[:2], ids=["default", "not reentrant"])
def test_frozen_embeddings_do_not_stop_the_gradient(bench: Bench, settings: dict[str, Any]) -> None:
    """Their output asks for no gradient, and a reentrant checkpoint passes none on to its weights then."""
    steps = []
    for changes in ({}, settings):
        nested = make_nested(**STILL)
        nested.model.bert.embeddings.requires_grad_(False)
        before = weights(nested.model)
        bench.sandwich(nested, max_steps=1, per_device_train_batch_size=48, **PLAIN_STEP, **changes).train()
        steps.append({name: before[name] - value for name, value in weights(nested.model).items()})
    assert steps[0]["bert.encoder.layer.0.intermediate.dense.weight"].abs().max() > 1e-4
    for name, step in steps[0].items():
        torch.testing.assert_close(steps[1][name], step, atol=1e-7, rtol=1e-5)
