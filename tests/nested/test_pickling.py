"""A student whose layers differ in width goes where any model of torch goes: pickles, copies, files, processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import multiprocessing
from transformers import PreTrainedModel

import minidisc_plugin
from tests.builders.tiny import make_batch
from tests.nested.crafting import RANKINGS, logits, make_nested, make_ranked

BATCH = make_batch()


def by_torch(model: PreTrainedModel, folder: Path) -> Any:
    torch.save(model, folder / "model.pt")
    return torch.load(folder / "model.pt", weights_only=False)


WAYS: dict[str, Callable[[PreTrainedModel, Path], Any]] = {
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "old pickle": lambda model, folder: pickle.loads(pickle.dumps(model, protocol=0)),
    "deepcopy": lambda model, folder: copy.deepcopy(model),
    "copy": lambda model, folder: copy.copy(model),
    "torch": by_torch,
}


@pytest.mark.parametrize("is_loaded", [False, True], ids=["extracted", "loaded"])
@pytest.mark.parametrize("name", RANKINGS)
@pytest.mark.parametrize("way", WAYS)
def test_it_comes_out_as_it_went_in(way: str, name: str, is_loaded: bool, tmp_path: Path) -> None:
    student = make_nested(RANKINGS[name]).extract(0.3)
    if is_loaded:
        student.save_pretrained(tmp_path / "student")
        student = minidisc_plugin.load(tmp_path / "student")
    found = WAYS[way](student, tmp_path)
    assert type(found) is type(student) and found.config.to_dict() == student.config.to_dict()
    state = student.state_dict()
    assert found.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in found.state_dict().items())
    torch.testing.assert_close(logits(found, BATCH), logits(student, BATCH), atol=0, rtol=0)
    found.save_pretrained(tmp_path / "again")
    assert type(minidisc_plugin.load(tmp_path / "again")) is type(student)


def answer(rank: int, model: PreTrainedModel, place: str) -> None:
    torch.save(logits(model, BATCH), place)


@pytest.mark.slow  # a process imports torch and transformers
def test_a_process_of_its_own_gets_it(tmp_path: Path) -> None:
    student = make_ranked().extract(0.3)
    multiprocessing.spawn(answer, args=(student, str(tmp_path / "logits.pt")), nprocs=1)
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), logits(student, BATCH))
