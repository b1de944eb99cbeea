"""Which checkpoint a stage goes on from: the newest whole one, whatever a stopped process left beside it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_model

from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.training.checkpoints import SEAL, Checkpoint, checkpoints_in, names_as_held, rotate, take_up
from tests.builders.tiny import make_bert
from tests.builders.zoo import here
from tests.builders.zoo import make_model as make_zoo_model


def write(folder: Path, step: int, best: str | None = None, sealed: bool = True, **state: object) -> Checkpoint:
    """A checkpoint with files of every kind."""
    checkpoint = Checkpoint(folder / f"checkpoint-{step}")
    (checkpoint.folder / "shards").mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "shards/rng_state.pth"):
        (checkpoint.folder / name).write_bytes(bytes(range(1, 200)))
    held = {"max_steps": 40, "best_model_checkpoint": best, **state}
    (checkpoint.folder / "trainer_state.json").write_text(json.dumps(held), encoding="utf-8")
    if sealed:
        checkpoint.seal()
    return checkpoint


def names(folder: Path) -> list[str]:
    return [checkpoint.folder.name for checkpoint in checkpoints_in(folder)]


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:50])


def zero(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(bytes(len((folder / name).read_bytes())))


def lose(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


DAMAGE = {
    "cut": (cut("optimizer.pt"), "optimizer.pt has 50 bytes of 199"),
    "emptied": (lambda folder: (folder / "optimizer.pt").write_bytes(b""), "optimizer.pt has 0 bytes of 199"),
    "zeroed": (zero("model.safetensors"), "model.safetensors is damaged"),
    "lost": (lose("trainer_state.json"), "trainer_state.json is missing"),
    "lost within": (lambda folder: shutil.rmtree(folder / "shards"), "shards/rng_state.pth is missing"),
    "a folder instead": (
        lambda folder: ((folder / "optimizer.pt").unlink(), (folder / "optimizer.pt").mkdir()),
        "optimizer.pt is missing",
    ),
    "no seal": (lose(SEAL), "it was not finished"),
    "seal zeroed": (zero(SEAL), "seal.json is damaged"),
    "seal cut": (cut(SEAL), "seal.json is damaged"),
    "seal of something else": (lambda folder: (folder / SEAL).write_text("[]"), "seal.json is damaged"),
    "nothing left": (
        lambda folder: (shutil.rmtree(folder), folder.mkdir()),
        "it was not finished",
    ),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: Callable[[Path], object], told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, 9)
    damage(write(tmp_path, 10).folder)
    with caplog.at_level(logging.WARNING):
        found = take_up(tmp_path, "student", needs_best=True)
    assert found is not None and found.folder == tmp_path / "checkpoint-9" and found.step == 9
    assert names(tmp_path) == ["checkpoint-9"]
    (line,) = caplog.messages
    assert line == f"stage student goes on from checkpoint-9; not whole, and removed: checkpoint-10 ({told})"


def test_the_newest_whole_checkpoint_is_taken_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (2, 10, 9):
        write(tmp_path, step)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    (tmp_path / "checkpoint-last").mkdir()
    with caplog.at_level(logging.WARNING):
        found = take_up(tmp_path, "student", needs_best=False)
    assert found is not None and found.step == 10
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-9", "checkpoint-10"] and not caplog.messages
    assert take_up(tmp_path / "no such stage", "student", needs_best=True) is None


def test_a_stage_without_a_whole_checkpoint_begins_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 4, sealed=False)
    zero("optimizer.pt")(write(tmp_path, 6).folder)
    with caplog.at_level(logging.WARNING):
        assert take_up(tmp_path, "sandwich", needs_best=False) is None
    assert names(tmp_path) == []
    assert caplog.messages == [
        "stage sandwich begins again; not whole, and removed: "
        "checkpoint-6 (optimizer.pt is damaged), checkpoint-4 (it was not finished)"
    ]


def test_the_best_weights_have_to_be_whole_where_they_are_needed(tmp_path: Path) -> None:
    for needed, expected in ((False, 6), (True, 5)):
        folder = tmp_path / str(needed)
        write(folder, 3)
        zero("model.safetensors")(write(folder, 4).folder)
        write(folder, 5, best="elsewhere/checkpoint-3")
        write(folder, 6, best="elsewhere/checkpoint-4")
        found = take_up(folder, "student", needs_best=needed)
        assert found is not None and found.step == expected
    shutil.rmtree(folder / "checkpoint-3")
    assert take_up(folder, "student", needs_best=True) is None


def test_the_best_lies_beside_wherever_it_was_noted(tmp_path: Path) -> None:
    first = write(tmp_path / "before", 4, best=str(tmp_path / "before" / "checkpoint-4"))
    assert first.best == first
    (tmp_path / "before").rename(tmp_path / "after")
    moved = take_up(tmp_path / "after", "student", needs_best=True)
    assert moved is not None and moved.best == moved
    assert write(tmp_path, 1).best is None


def test_a_stage_ends_with_its_last_step_or_as_it_was_told(tmp_path: Path) -> None:
    def control(stops: bool) -> dict[str, object]:
        return {"stateful_callbacks": {"TrainerControl": {"args": {"should_training_stop": stops}}}}

    assert not write(tmp_path, 39, **control(False)).ends_stage
    assert write(tmp_path, 38, **control(True)).ends_stage
    assert write(tmp_path, 40, **control(False)).ends_stage
    assert not write(tmp_path, 1).ends_stage


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (None, None, [2, 4, 6, 8, 10]),
        (0, None, [2, 4, 6, 8, 10]),
        (1, None, [10]),
        (1, "elsewhere/checkpoint-4", [4, 10]),
        (2, "elsewhere/checkpoint-4", [4, 10]),
        (3, "elsewhere/checkpoint-4", [4, 8, 10]),
        (3, "elsewhere/checkpoint-10", [6, 8, 10]),
        (9, "elsewhere/checkpoint-4", [2, 4, 6, 8, 10]),
    ],
)
def test_rotation_keeps_the_newest_and_the_best(
    limit: int | None, best: str | None, left: list[int], tmp_path: Path
) -> None:
    for step in (2, 4, 6, 8, 10):
        write(tmp_path, step)
    rotate(tmp_path, limit, best)
    assert [checkpoint.step for checkpoint in checkpoints_in(tmp_path)] == left


def test_a_removal_that_is_stopped_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = write(tmp_path, 4)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    checkpoint.remove()
    assert checkpoint.folder.is_dir() and checkpoint.fault() == "it was not finished"
    assert checkpoints_in(tmp_path, sealed=True) == []


def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = write(tmp_path, 4)

    def refuse(file: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("minidisc_plugin.training.checkpoints.sha256_of", refuse)
    assert checkpoint.fault() == "it cannot be read: Input/output error"


@pytest.mark.parametrize("form", ["whole", "in parts", "pickled"])
def test_weights_of_a_checkpoint(form: str, tmp_path: Path) -> None:
    trained, model = make_bert(seed=1), make_bert(seed=2)
    if form == "pickled":
        torch.save(trained.state_dict(), tmp_path / "pytorch_model.bin")
    elif form == "whole":
        save_model(trained, str(tmp_path / "model.safetensors"))
    else:
        trained.save_pretrained(tmp_path, max_shard_size="20KB")
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    Checkpoint(tmp_path).load_weights(model)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in trained.state_dict().items())


@pytest.mark.parametrize("case", ["vit", "nomic_bert", "gpt_neox"])
def test_a_model_is_saved_under_the_names_that_it_has(case: str, tmp_path: Path) -> None:
    """As Trainer looks for them; outside of training models are saved as earlier releases call their weights."""
    if case not in here():
        pytest.skip("this release does not have it")
    model = make_zoo_model(case)
    model.save_pretrained(tmp_path / "before")
    with names_as_held(model):
        model.save_pretrained(tmp_path / "held")
    model.save_pretrained(tmp_path / "after")
    before, held, after = (
        set(load_file(tmp_path / name / "model.safetensors")) for name in ("before", "held", "after")
    )
    assert before == after
    assert not model.load_state_dict(load_file(tmp_path / "held" / "model.safetensors"), strict=False).missing_keys
    if version("transformers").startswith("5"):
        assert held != before
        with pytest.raises(RunDirectoryError, match="it does not hold"):
            Checkpoint(tmp_path / "before").load_weights(model)


def test_weights_that_layers_share_are_held_once(tmp_path: Path) -> None:
    trained, model = (torch.nn.ModuleDict({name: torch.nn.Linear(2, 2) for name in "ab"}) for _ in range(2))
    for each in (trained, model):
        each["b"].weight = each["a"].weight
    save_model(trained, str(tmp_path / "model.safetensors"))
    Checkpoint(tmp_path).load_weights(model)
    assert torch.equal(model["b"].weight, trained["a"].weight)
    with pytest.raises(RunDirectoryError, match=r"does not hold c\.weight"):
        Checkpoint(tmp_path).load_weights(torch.nn.ModuleDict({**model, "c": torch.nn.Linear(2, 2, bias=False)}))
