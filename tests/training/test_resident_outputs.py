"""Kept outputs in a device's memory are those of the files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import DataCollatorWithPadding

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.training.resident_outputs import ResidentOutputs
from minidisc_plugin.training.teacher_cache import TeacherCache
from tests.training.making import Bench, make_nested
from tests.training.test_teacher_cache import make_cache

CPU = torch.device("cpu")


def cache_of(bench: Bench, folder: Path, states: bool = True) -> TeacherCache:
    cache = make_cache(bench, folder, states=states)
    assert cache is not None
    return cache


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("states", [True, False])
def test_what_is_read_is_what_the_files_hold(bench: Bench, tmp_path: Path, side: str, states: bool) -> None:
    cache = cache_of(bench, tmp_path, states)
    resident, rows = ResidentOutputs(cache, CPU), [0, 5, 47, 11]
    bench.tokenizer.padding_side = side
    try:
        batch = DataCollatorWithPadding(bench.tokenizer, pad_to_multiple_of=16)([bench.dataset[row] for row in rows])
    finally:
        bench.tokenizer.padding_side = "right"
    expected = cache.read(rows, batch["attention_mask"])
    found = resident.read(torch.tensor(rows), batch["attention_mask"])
    torch.testing.assert_close(found.logits, expected.logits, atol=0, rtol=0)
    assert (found.hidden_states is not None) == states
    for mine, whole in zip(*(of.hidden_states or () for of in (found, expected)), strict=True):
        torch.testing.assert_close(mine, whole, atol=0, rtol=0)


def test_examples_that_change_are_noticed_within_a_few_batches(bench: Bench, tmp_path: Path) -> None:
    resident = ResidentOutputs(cache_of(bench, tmp_path), CPU)
    with pytest.raises(DataError, match="change from epoch to epoch"):
        for _ in range(32):
            resident.read(torch.tensor([0]), torch.ones(1, 31, dtype=torch.long))


def test_a_stage_that_ends_before_is_looked_at_as_well(bench: Bench, tmp_path: Path) -> None:
    resident = ResidentOutputs(cache_of(bench, tmp_path), CPU)
    batch = DataCollatorWithPadding(bench.tokenizer)([bench.dataset[0]])
    resident.read(torch.tensor([0]), batch["attention_mask"])
    resident.check()
    resident.read(torch.tensor([0]), torch.ones(1, 31, dtype=torch.long))
    with pytest.raises(DataError, match="change from epoch to epoch"):
        resident.check()


def test_training_ends_with_a_look(bench: Bench, tmp_path: Path) -> None:
    """Whatever came since the last one: here, from the first batch on."""
    trainer = bench.distil(make_nested().extract(0.3), trainer={"cache": cache_of(bench, tmp_path)}, max_steps=2)
    trainer.cache = ResidentOutputs(cache_of(bench, tmp_path), CPU)
    trainer.cache._reads = 1
    trainer.cache._lengths += 1
    with pytest.raises(DataError, match="change from epoch to epoch"):
        trainer.train()


def test_a_processor_reads_files(bench: Bench, tmp_path: Path) -> None:
    assert not ResidentOutputs.room(cache_of(bench, tmp_path), CPU)
