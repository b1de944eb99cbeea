"""Importance equals its definition, computed another way, whatever the batches look like."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from minidisc_plugin import NestedModel
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.nested.families.encoders import BERT
from minidisc_plugin.nested.importance import importance
from minidisc_plugin.nested.units import structure_of
from tests.builders.tiny import make_batch, make_bert
from tests.nested.crafting import HEAD_SIZE, HEADS, NEURONS, logits, make_nested, make_ranking

Batch = dict[str, Tensor]


def scores(model: Any, batches: Sequence[Batch]) -> tuple[list[Tensor], list[Tensor]]:
    return importance(model, structure_of(model, BERT), batches)


def rows(batch: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(batch["labels"]), size):
        yield {name: value[start : start + size] for name, value in batch.items()}


def pad(batch: Batch, tokens: int) -> Batch:
    """The same examples with more padding; what stands there must not matter, so it is not zero."""
    missing = tokens - batch["input_ids"].shape[1]
    return {
        "input_ids": functional.pad(batch["input_ids"], (0, missing), value=7),
        "attention_mask": functional.pad(batch["attention_mask"], (0, missing), value=0),
        "labels": batch["labels"],
    }


def crop(batch: Batch) -> Batch:
    """One example without its padding."""
    tokens = int(batch["attention_mask"].sum())
    return {name: value[:, :tokens] if value.dim() == 2 else value for name, value in batch.items()}


def loss_of_one(model: Any, example: Batch) -> float:
    """The loss of a single example, from its logits."""
    found = logits(model, {name: value for name, value in example.items() if name != "labels"})
    labels = example["labels"]
    if model.config.num_labels == 1:
        return float((found.squeeze() - labels.squeeze()) ** 2)
    return float(-functional.log_softmax(found, dim=-1)[0, labels[0]])


@torch.no_grad()
def slope(model: Any, column: Tensor, example: Batch, epsilon: float = 1e-5) -> float:
    """dLoss/dFactor, by central differences, of a factor on what one unit hands on, where the factor is one."""
    whole = column.clone()
    column.mul_(1 + epsilon)
    above = loss_of_one(model, example)
    column.copy_(whole * (1 - epsilon))
    below = loss_of_one(model, example)
    column.copy_(whole)
    return (above - below) / (2 * epsilon)


@pytest.mark.parametrize("labels", [1, 3])
def test_importance_is_the_summed_slope_of_each_examples_loss(labels: int) -> None:
    model = make_bert(labels=labels).double()
    batch = make_batch(size=3, tokens=9, labels=max(labels, 2))
    if labels == 1:
        batch["labels"] = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    heads, neurons = scores(copy.deepcopy(model), list(rows(batch, 2)))
    examples = [crop(example) for example in rows(batch, 1)]
    for index, layer in enumerate(model.bert.encoder.layer):
        by_head = layer.attention.output.dense.weight.view(32, HEADS, HEAD_SIZE)
        by_neuron = layer.output.dense.weight
        expected = [sum(abs(slope(model, by_head[:, unit], example)) for example in examples) for unit in range(HEADS)]
        torch.testing.assert_close(heads[index], torch.tensor(expected).double(), rtol=1e-4, atol=1e-7)
        some = range(0, NEURONS, 13)
        expected = [sum(abs(slope(model, by_neuron[:, unit], example)) for example in examples) for unit in some]
        torch.testing.assert_close(neurons[index][list(some)], torch.tensor(expected).double(), rtol=1e-4, atol=1e-7)
        assert heads[index].min() > 0 and neurons[index].min() > 0


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("tokens", [12, 20, 32])
def test_importance_depends_on_neither_batch_size_nor_padding(size: int, tokens: int) -> None:
    model, batch = make_bert(labels=3), make_batch(size=6)
    expected = scores(model, [batch])
    found = scores(model, list(rows(pad(batch, tokens), size)))
    for one, other in zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_examples_add_up() -> None:
    model = make_bert(labels=3)
    one, other = make_batch(size=2, seed=1), make_batch(size=3, seed=2)
    both = scores(model, [one, other])
    parts = scores(model, [one]), scores(model, [other])
    for kind in (0, 1):
        for layer, total in enumerate(both[kind]):
            torch.testing.assert_close(total, parts[0][kind][layer] + parts[1][kind][layer])


@pytest.mark.parametrize("training", [True, False])
def test_importance_leaves_the_model_as_it_was(training: bool) -> None:
    model, batch = make_bert(labels=3), make_batch()
    expected = logits(model, batch)
    frozen, trained = model.bert.embeddings.word_embeddings.weight, model.classifier.weight
    frozen.requires_grad_(False)
    trained.grad = torch.ones_like(trained)
    layers = structure_of(model, BERT)
    model.train(training)
    importance(model, layers, [batch])
    assert {module.training for module in model.modules()} == {training}
    assert not frozen.requires_grad
    assert all(parameter.requires_grad for parameter in model.parameters() if parameter is not frozen)
    assert torch.equal(trained.grad, torch.ones_like(trained))
    assert all(parameter.grad is None for parameter in model.parameters() if parameter is not trained)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert torch.equal(logits(model.eval(), batch), expected)


def test_dropout_is_off_while_scoring() -> None:
    model, batch = make_bert(labels=3, hidden_dropout_prob=0.5), make_batch()
    expected = scores(model, [batch])[0][0]
    assert torch.equal(scores(model.train(), [batch])[0][0], expected)


def test_gradients_are_made_even_where_the_caller_turned_them_off() -> None:
    with torch.no_grad():
        heads, _ = scores(make_bert(labels=3), [make_batch()])
    assert heads[0].min() > 0


def test_layers_without_units_get_no_scores() -> None:
    assistant = make_nested(make_ranking(headless=0, neuronless=1)).extract(0.5)
    heads, neurons = scores(assistant, [make_batch()])
    assert [len(layer) for layer in heads] == [0, 4]
    assert [len(layer) for layer in neurons] == [64, 0]
    assert heads[1].min() > 0 and neurons[0].min() > 0


def test_what_cannot_be_scored_is_refused() -> None:
    batch = make_batch()
    model = make_bert(labels=3)
    with pytest.raises(DataError, match="at least one"):
        scores(model, [])
    with pytest.raises(DataError, match="labels"):
        scores(model, [{name: value for name, value in batch.items() if name != "labels"}])
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    with pytest.raises(DataError, match="nan after 0 examples"):
        scores(model, [batch])
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_network_is_scored_at_its_full_size() -> None:
    nested, expected = NestedModel(make_bert(labels=3)), NestedModel(make_bert(labels=3))
    nested.set_scale(0.2)
    nested.rank([make_batch()])
    expected.rank([make_batch()])
    for one, other in zip(nested.ranking.neurons.ranks, expected.ranking.neurons.ranks, strict=True):
        assert torch.equal(one, other)
