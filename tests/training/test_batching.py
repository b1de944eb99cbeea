"""Batches of similar length, in an order that can be repeated."""

from __future__ import annotations

import pytest

from tests.training.making import Bench, make_nested


def order(bench: Bench, epochs: list[int], **changes: object) -> list[list[list[int]]]:
    """Per epoch, per batch, which examples; they are told apart by their labels."""
    bench.dataset = bench.dataset.remove_columns("labels").add_column("labels", list(range(len(bench.dataset))))
    loader = bench.distil(make_nested().extract(0.3), **changes).get_train_dataloader()
    found = []
    for epoch in epochs:
        loader.set_epoch(epoch)
        found.append([batch["labels"].tolist() for batch in loader])
    return found


def test_an_epoch_has_an_order_of_its_own_whatever_came_before(bench: Bench) -> None:
    first, second, third = order(bench, [0, 1, 2])
    assert order(bench, [2]) == [third]
    assert order(bench, [1, 0]) == [second, first]
    assert first != second != third
    for epoch in (first, second, third):
        assert sorted(example for batch in epoch for example in batch) == list(range(48))


@pytest.mark.parametrize("name", ["seed", "data_seed"])
def test_the_order_depends_on_the_seed(bench: Bench, name: str) -> None:
    assert order(bench, [0], **{name: 11}) == order(bench, [0], **{name: 11})
    assert order(bench, [0], **{name: 11}) != order(bench, [0], **{name: 12})


def test_examples_of_a_batch_are_of_similar_length(bench: Bench) -> None:
    lengths = [len(ids) for ids in bench.dataset["input_ids"]]

    def padding(grouped: bool) -> int:
        (epoch,) = order(bench, [0], per_device_train_batch_size=2, group_by_length=grouped)
        return sum(
            max(lengths[example] for example in batch) - lengths[example] for batch in epoch for example in batch
        )

    assert padding(grouped=True) < padding(grouped=False) / 2
