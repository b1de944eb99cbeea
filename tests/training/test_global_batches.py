"""Global batches: every example once an epoch, the same whatever the number of processes, within a token budget."""

from __future__ import annotations

import math
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidisc_plugin.training.batches import GlobalBatches, OptimizerStep, Share

lengths_of = st.lists(st.integers(1, 40), min_size=1, max_size=120)


@given(lengths_of, st.integers(1, 9), st.booleans(), st.integers(1, 3), st.integers(0, 5))
def test_an_epoch_has_every_example_once(
    lengths: list[int], size: int, grouped: bool, together: int, epoch: int
) -> None:
    batches = GlobalBatches(lengths, size, seed=1, grouped=grouped, step=OptimizerStep(together))
    batches.set_epoch(epoch)
    found = list(batches)
    assert sorted(chain.from_iterable(found)) == list(range(len(lengths)))
    assert len(found) == len(batches) == -(-len(lengths) // size)
    assert all(len(batch) == size for batch in found) or sum(len(batch) < size for batch in found) == 1
    assert list(batches) == found


@given(lengths_of, st.integers(1, 9), st.booleans())
def test_an_incomplete_batch_can_be_left_out(lengths: list[int], size: int, grouped: bool) -> None:
    batches = GlobalBatches(lengths, size, seed=1, grouped=grouped, drop_last=True)
    found = list(batches)
    assert len(found) == len(batches) == len(lengths) // size
    assert all(len(batch) == size for batch in found)


@given(lengths_of, st.integers(1, 4), st.sampled_from([2, 3]), st.booleans(), st.none() | st.integers(40, 200))
def test_processes_share_the_batches_of_one(
    lengths: list[int], size: int, processes: int, grouped: bool, tokens: int | None
) -> None:
    whole = list(GlobalBatches(lengths, size * processes, seed=1, grouped=grouped, tokens=tokens))
    parts = [
        list(GlobalBatches(lengths, size * processes, 1, grouped=grouped, tokens=tokens, share=Share(rank, processes)))
        for rank in range(processes)
    ]
    for batch, shares in zip(whole, zip(*parts, strict=True), strict=True):
        assert set(batch) == set(chain.from_iterable(shares))
        if len(batch) >= processes:
            assert sorted(batch) == sorted(chain.from_iterable(shares))
        assert all(shares)


@given(lengths_of, st.integers(40, 200), st.integers(0, 3))
def test_no_batch_holds_more_tokens_than_allowed(lengths: list[int], tokens: int, epoch: int) -> None:
    batches = GlobalBatches(lengths, 1, seed=1, tokens=tokens)
    batches.set_epoch(epoch)
    found = list(batches)
    assert sorted(chain.from_iterable(found)) == list(range(len(lengths)))
    assert len(found) == len(batches)
    assert all(len(batch) * max(lengths[example] for example in batch) <= tokens for batch in found)


def test_an_example_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    assert sorted(GlobalBatches([9, 3, 3], 1, seed=0, tokens=6)) == [[0], [1, 2]] or sorted(
        GlobalBatches([9, 3, 3], 1, seed=0, tokens=6)
    ) == [[0], [2, 1]]


@pytest.mark.parametrize("together", [1, 2])
def test_the_longest_example_comes_first(together: int) -> None:
    lengths = [(7 * place) % 31 + 1 for place in range(400)]
    lengths[123] = 90
    for epoch in range(3):
        batches = GlobalBatches(lengths, 4, seed=2, step=OptimizerStep(together))
        batches.set_epoch(epoch)
        assert any(123 in batch for batch in list(batches)[:together])


def test_batches_come_in_no_order_of_length() -> None:
    lengths = list(range(1, 401))
    widths = [max(lengths[example] for example in batch) for batch in GlobalBatches(lengths, 4, seed=2)][1:]
    falling = sum(later <= earlier for earlier, later in pairwise(widths))
    assert 0.3 < falling / len(widths) < 0.7


@given(
    lengths_of,
    st.integers(1, 120),
    st.integers(1, 9),
    st.booleans(),
    st.integers(1, 3),
    st.integers(0, 5),
    st.sampled_from([1, 2, 3]),
)
def test_an_epoch_draws_as_many_as_it_is_told_and_none_twice(
    lengths: list[int], drawn: int, size: int, grouped: bool, together: int, epoch: int, processes: int
) -> None:
    def batches(share: Share) -> GlobalBatches:
        made = GlobalBatches(
            lengths, size * processes, 1, grouped=grouped, step=OptimizerStep(together, whole=True), share=share
        )
        made.drawn = drawn
        made.set_epoch(epoch)
        return made

    whole = batches(Share())
    examples = list(chain.from_iterable(whole.global_batches()))
    assert len(examples) == len(set(examples)) == min(drawn, len(lengths))
    assert set(examples) <= set(range(len(lengths)))
    steps = math.ceil(math.ceil(len(examples) / (size * processes)) / together)
    assert len(list(whole)) == len(whole) == steps * together
    parts = [list(batches(Share(rank, processes))) for rank in range(processes)]
    for batch, shares in zip(list(whole), zip(*parts, strict=True), strict=True):
        assert set(batch) == set(chain.from_iterable(shares))


def test_every_example_of_a_pool_is_drawn_sooner_or_later_and_each_epoch_draws_others() -> None:
    batches = GlobalBatches([3] * 90, 4, seed=5)
    batches.drawn = 30
    epochs = []
    for epoch in range(40):
        batches.set_epoch(epoch)
        epochs.append(frozenset(chain.from_iterable(batches)))
    assert frozenset().union(*epochs) == frozenset(range(90))
    assert len(set(epochs)) == 40
    batches.set_epoch(7)  # as a run that is resumed there
    assert frozenset(chain.from_iterable(batches)) == epochs[7]


def test_the_order_of_all_examples_is_what_it_was_before_any_were_drawn() -> None:
    some, every = GlobalBatches(list(range(1, 60)), 4, seed=2), GlobalBatches(list(range(1, 60)), 4, seed=2)
    some.drawn = 59
    assert list(some) == list(every)
