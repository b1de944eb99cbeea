"""When a stage evaluates and saves, and where it finds its best weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from minidisc_plugin.training.checkpoint_keeper import CheckpointKeeper
from minidisc_plugin.training.checkpoints import SEAL, Checkpoint


def control(**asked: bool) -> Any:
    return SimpleNamespace(**{"should_save": False, "should_evaluate": False, **asked})


def arguments(best: bool = False, folder: Path = Path()) -> Any:
    return SimpleNamespace(load_best_model_at_end=best, output_dir=folder)


@pytest.mark.parametrize("asked", [{}, {"should_save": True}, {"should_save": True, "should_evaluate": True}], ids=str)
def test_what_is_due_with_an_epochs_last_step_waits_for_its_end(asked: dict[str, bool]) -> None:
    keeper, during = CheckpointKeeper(None), control(**asked)
    keeper.on_step_end(arguments(), SimpleNamespace(epoch=1.5), during)
    assert during == control(**asked), "within an epoch nothing waits"
    keeper.on_step_end(arguments(), SimpleNamespace(epoch=2.0), during)
    assert during == control()
    keeper.on_epoch_end(arguments(), SimpleNamespace(epoch=2.0), during)
    assert during == control(**asked)
    later = control()
    keeper.on_epoch_end(arguments(), SimpleNamespace(epoch=3.0), later)
    assert later == control(), "and is done once"


@pytest.mark.parametrize("best", [True, False])
def test_what_is_evaluated_is_saved_where_the_best_is_kept(best: bool) -> None:
    keeper = CheckpointKeeper(None)
    for ask in (keeper.on_step_end, keeper.on_epoch_end):
        asked = control(should_evaluate=True)
        ask(arguments(best), SimpleNamespace(epoch=1.5), asked)
        assert asked.should_save is best


def test_the_best_weights_are_where_they_are_now(tmp_path: Path) -> None:
    for name in ("checkpoint-2", "checkpoint-4"):
        (tmp_path / name).mkdir()
        held = {"best_model_checkpoint": "/before/it/was/moved/checkpoint-2"}
        (tmp_path / name / "trainer_state.json").write_text(json.dumps(held), encoding="utf-8")
    state = SimpleNamespace(best_model_checkpoint="/before/it/was/moved/checkpoint-2")
    CheckpointKeeper(None).on_train_begin(arguments(), state, control())
    assert state.best_model_checkpoint == "/before/it/was/moved/checkpoint-2"
    CheckpointKeeper(None, Checkpoint(tmp_path / "checkpoint-4")).on_train_begin(arguments(), state, control())
    assert state.best_model_checkpoint == str(tmp_path / "checkpoint-2")
    (tmp_path / "checkpoint-2").rename(tmp_path / "gone")
    CheckpointKeeper(None, Checkpoint(tmp_path / "checkpoint-4")).on_train_begin(arguments(), state, control())
    assert state.best_model_checkpoint is None


def test_a_checkpoint_is_sealed_before_another_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = CheckpointKeeper(1)
    for step in (2, 4):
        (tmp_path / f"checkpoint-{step}").mkdir()
        state = SimpleNamespace(global_step=step, best_model_checkpoint=None)
        keeper.on_save(arguments(folder=tmp_path), state, control())
        assert [path.name for path in tmp_path.iterdir()] == [f"checkpoint-{step}"]
        assert (tmp_path / f"checkpoint-{step}" / SEAL).is_file()
    (tmp_path / "checkpoint-6").mkdir()

    def fail(self: Checkpoint) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoint, "seal", fail)
    with pytest.raises(OSError, match="No space"):
        keeper.on_save(arguments(folder=tmp_path), SimpleNamespace(global_step=6), control())
    assert Checkpoint(tmp_path / "checkpoint-4").fault() is None
