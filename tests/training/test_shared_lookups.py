"""A table's gradient is made once a step, and is that of all scales together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minidisc_plugin import NestedModel
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.training.shared_lookups import SharedLookups
from tests.builders.zoo import make_inputs, make_model
from tests.training.making import SCALES, Bench, make_nested


def gradients(case: str, shared: bool) -> dict[str, Tensor]:
    """Of a step over three scales, each with a backward pass of its own."""
    nested, inputs = NestedModel(make_model(case)), make_inputs(case)
    lookups = SharedLookups(nested.model)
    with lookups.step():
        for scale, last in ((0.3, False), (0.6, False), (1.0, True)):
            nested.set_scale(scale)
            if shared:
                with lookups.scale(last):
                    nested(**inputs).loss.backward()
            else:
                nested(**inputs).loss.backward()
    return {name: value.grad for name, value in nested.model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("case", ["bert", "t5", "bart", "deberta-v2", "gpt2", "vit"])
def test_gradients_are_those_of_separate_lookups(case: str) -> None:
    expected, found = gradients(case, shared=False), gradients(case, shared=True)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5)


def count_table_gradients(nested: NestedModel) -> list[int]:
    """Sizes of the gradients that are made of the table of words, as they are made."""
    table, made = nested.model.get_input_embeddings(), []
    table.weight.register_hook(lambda gradient: made.append(gradient.numel()))
    return made


def test_a_step_makes_one_gradient_of_a_table(bench: Bench) -> None:
    nested = make_nested()
    made = count_table_gradients(nested)
    bench.sandwich(nested, max_steps=2, gradient_accumulation_steps=2).train()
    assert len(SCALES) == 4 and len(made) == 2 * 2  # one a batch, of two steps with two batches each


class FailsAtTheSecond(MiniDiscObjective):
    """An objective that the second scale of a step does not survive."""

    asked = 0

    def __call__(self, *args: Any) -> Tensor:
        self.asked += 1
        if self.asked == 2:
            raise RuntimeError("stop")
        return super().__call__(*args)


def test_nothing_is_left_after_a_step_that_fails(bench: Bench) -> None:
    nested = make_nested()
    objective = FailsAtTheSecond(DistillationConfig(), regression=False)
    trainer = bench.sandwich(nested, trainer={"objective": objective}, max_steps=1)
    with pytest.raises(RuntimeError, match="stop"):
        trainer.train()
    table = nested.model.get_input_embeddings()
    assert isinstance(table, nn.Embedding) and not table._forward_hooks
    assert not trainer._lookups._shared


def test_a_frozen_table_stays_out_of_it(bench: Bench) -> None:
    nested = make_nested()
    table = nested.model.get_input_embeddings()
    table.weight.requires_grad_(False)
    before = table.weight.clone()
    bench.sandwich(nested, max_steps=2).train()
    assert table.weight.grad is None and torch.equal(table.weight, before)
