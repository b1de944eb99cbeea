"""A run that was stopped, at whatever moment, ends as one that was not: the same weights and records, bit by bit."""

from __future__ import annotations

import logging
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from minidisc_plugin.foundation.errors import StorageError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.schedulers.direct import Direct
from minidisc_plugin.schedulers.fixed import Fixed
from minidisc_plugin.schedulers.maxidisc import MaxiDisc
from minidisc_plugin.schedulers.minidisc import MiniDisc
from minidisc_plugin.training.randomness import same_randomness
from minidisc_plugin.training.teacher_store import TeacherStore
from tests.training.resuming import Moments, Outcome, Setting, Stopped

DIRECT = {"scheduler": Direct(target_sparsity=0.7)}
STEPS = {"save_strategy": "steps", "save_steps": 2}
DROPOUT = {"dropout": True}
PATIENT_STEPS = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 2}
PLATEAU = {**STEPS, "eval_strategy": "epoch", "lr_scheduler_type": "reduce_lr_on_plateau", "num_train_epochs": 3}

# An epoch has three steps.
SETTINGS = {
    "epochs": Setting({}),
    "steps": Setting(STEPS, engine=DROPOUT),
    "an epoch's last step is saved": Setting({**STEPS, "save_steps": 3}, engine=DROPOUT),
    "accumulation": Setting({**STEPS, "save_steps": 1, "gradient_accumulation_steps": 2}, engine=DROPOUT),
    "the end lies within an epoch": Setting({**STEPS, "max_steps": 4}, **DIRECT),
    "half an epoch": Setting({**STEPS, "num_train_epochs": 2.5}),
    "patience": Setting({"num_train_epochs": 6}, patience=2, engine=DROPOUT, **DIRECT),
    "patience in steps": Setting({**PATIENT_STEPS, "num_train_epochs": 4}, patience=3, **DIRECT),
    "patience, evaluated at the start": Setting({"num_train_epochs": 6, "eval_on_start": True}, patience=1, **DIRECT),
    "callbacks restored": Setting(
        {"num_train_epochs": 6, "restore_callback_states_from_checkpoint": True}, patience=2, **DIRECT
    ),
    "nothing is saved": Setting({"save_strategy": "no"}, **DIRECT),
    "three are kept": Setting({**STEPS, "save_steps": 1, "save_total_limit": 3}, **DIRECT),
    "evaluated by epochs, saved by steps": Setting({**STEPS, "eval_strategy": "epoch"}, engine=DROPOUT),
    "the rate follows the metric": Setting(PLATEAU, **DIRECT),
    "workers": Setting(
        {**STEPS, "dataloader_num_workers": 1, "dataloader_persistent_workers": True}, engine=DROPOUT, **DIRECT
    ),
    "batches of tokens": Setting({**STEPS, "save_steps": 1}, engine={"tokens_per_batch": 60}),
    "an order of its own": Setting({**STEPS, "data_seed": 9, "full_determinism": True}, engine=DROPOUT, **DIRECT),
    "a teacher's cache": Setting(STEPS, engine={"teacher_cache": True}),
    "noise": Setting({**STEPS, "neftune_noise_alpha": 5.0}, **DIRECT),
    "half precision": Setting({**STEPS, "bf16": True}, **DIRECT),
    "both guides": Setting(STEPS, guide="both", engine={"teacher_cache": True}),
    "two assistants": Setting({}, scheduler=MiniDisc(target_sparsity=0.7, candidates=[0.6, 0.5, 0.4], assistants=2)),
    "trials": Setting({**STEPS, "num_train_epochs": 1}, scheduler=MaxiDisc(target_sparsity=0.7, candidates=[0.6, 0.4])),
    "one assistant": Setting(STEPS, scheduler=Fixed(target_sparsity=0.7, scale=0.5)),
    "ted": Setting(STEPS, objective={"objective": "ted"}),
    "ted, patience": Setting({"num_train_epochs": 6}, patience=2, objective={"objective": "ted"}, **DIRECT),
    "codir": Setting(STEPS, objective={"objective": "codir", "codir": {"negatives": 5}}),
    "ad_kd": Setting(
        STEPS, objective={"objective": "ad_kd", "ad_kd": {"annealed": True}}, engine={"teacher_cache": True}
    ),
    "hrkd": Setting(STEPS, objective={"objective": "hrkd"}),
    "further examples": Setting(STEPS, further=True, engine=DROPOUT),
    "further examples in a teacher's cache": Setting(STEPS, further=True, engine={"teacher_cache": True}),
    "further examples, half an epoch": Setting({**STEPS, "num_train_epochs": 2.5}, further=True, **DIRECT),
}
if available("host", "inc"):
    from minidisc_plugin.integrations.optimum.distiller import INCDistiller

    HOSTED = {"distiller": INCDistiller, **DIRECT}
    SETTINGS |= {
        "inc: epochs": Setting({}, engine=DROPOUT, **HOSTED),
        "inc: accumulation": Setting({**STEPS, "save_steps": 1, "gradient_accumulation_steps": 2}, **HOSTED),
        "inc: the end lies within an epoch": Setting({**STEPS, "max_steps": 4}, **HOSTED),
        "inc: patience": Setting({"num_train_epochs": 6}, patience=2, engine=DROPOUT, **HOSTED),
        "inc: patience in steps": Setting({**PATIENT_STEPS, "num_train_epochs": 4}, patience=3, **HOSTED),
        "inc: the rate follows the metric": Setting(PLATEAU, **HOSTED),
        "inc: further examples": Setting({**STEPS, "num_train_epochs": 3}, further=True, **HOSTED),
    }


class Place:
    """Runs settings in folders of their own."""

    def __init__(self, folder: Path, dataset: Dataset, tokenizer: PreTrainedTokenizerFast) -> None:
        self.folder = folder
        self.data = (dataset, tokenizer)

    def whole(self, setting: Setting) -> tuple[Outcome, list[str]]:
        """What an uninterrupted run comes to, and the moments that it passed."""
        moments = Moments()
        with moments.watched():
            outcome = setting.run(self.folder / "whole", *self.data, resume=False)
        return outcome, moments.passed

    def stop(self, setting: Setting, moment: int, folder: str = "stopped") -> Path:
        """A run that was stopped at a moment."""
        moments = Moments(moment)
        with moments.watched(), pytest.raises(Stopped):
            setting.run(self.folder / folder, *self.data, resume=False)
        return self.folder / folder

    def resumed(self, setting: Setting, folder: Path) -> tuple[Outcome, list[str]]:
        """What it comes to when it is taken up, and the moments that it passed."""
        moments = Moments()
        with moments.watched():
            outcome = setting.run(folder, *self.data, resume=True)
        return outcome, moments.passed


@pytest.fixture
def place(tmp_path: Path, dataset: Dataset, tokenizer: PreTrainedTokenizerFast) -> Place:
    return Place(tmp_path, dataset, tokenizer)


def refused(*args: Any, **kwargs: Any) -> Any:
    raise StorageError("no space is left")


def occurrences(moments: list[str], name: str) -> list[int]:
    return [place for place, moment in enumerate(moments) if moment == name]


def check_every(place: Place, name: str, first: int, stride: int) -> None:
    setting = SETTINGS[name]
    whole, moments = place.whole(setting)
    for moment in range(first, len(moments), stride):
        folder = place.stop(setting, moment)
        outcome, _ = place.resumed(setting, folder)
        assert outcome.same_as(whole), f"stopped at moment {moment}, {moments[moment]}"
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_anywhere(name: str, place: Place) -> None:
    check_every(place, name, 0, 1)


def test_stopped_here_and_there(place: Place) -> None:
    check_every(place, "the end lies within an epoch", 11, 19)


def test_further_examples_are_drawn_as_if_nothing_had_been_stopped(place: Place) -> None:
    check_every(place, "further examples, half an epoch", 9, 23)


@pytest.mark.parametrize(
    ("name", "first", "step"),
    [
        ("ted", 42, 111),
        pytest.param("ted", 5, 37, marks=pytest.mark.slow),
        pytest.param("codir", 13, 37, marks=pytest.mark.slow),
        pytest.param("hrkd", 7, 37, marks=pytest.mark.slow),
    ],
)
def test_what_objectives_learn_is_gone_on_with(name: str, first: int, step: int, place: Place) -> None:
    check_every(place, name, first, step)


@pytest.mark.parametrize("name", ["patience", *(["inc: patience"] if available("host", "inc") else [])])
def test_patience_is_not_renewed(name: str, place: Place) -> None:
    setting = SETTINGS[name]
    whole, moments = place.whole(setting)
    steps = len(occurrences(moments, "before training_step"))
    assert steps < 6 * 3, "patience has to end before the epochs do"
    sealed = occurrences(moments, "after seal")
    for moment in (sealed[-2], sealed[-1]):
        outcome, passed = place.resumed(setting, place.stop(setting, moment, str(moment)))
        assert outcome.same_as(whole)
        before = moments[:moment].count("before training_step")
        assert passed.count("before training_step") == steps - before, "as many steps as were left"


def test_a_stage_that_was_at_its_end_trains_no_step_more(place: Place) -> None:
    setting = SETTINGS["the end lies within an epoch"]
    whole, moments = place.whole(setting)
    for moment in (occurrences(moments, "after seal")[-1], occurrences(moments, "before save_weights")[-1]):
        outcome, passed = place.resumed(setting, place.stop(setting, moment, str(moment)))
        assert outcome.same_as(whole) and "before training_step" not in passed


def test_candidates_are_compared_once_whenever_the_run_stops(place: Place) -> None:
    setting = SETTINGS["an epoch's last step is saved"]
    whole, moments = place.whole(setting)
    assert whole.decisions["halving-1"]["dropped"] == [0.6]
    # The third step of the sandwich, three or two scales a step; then the comparison's line; then the checkpoint.
    line, checkpoint = occurrences(moments, "before write_bytes")[1], occurrences(moments, "before seal")[0]
    assert line < checkpoint, "no checkpoint of an epoch's end without what is decided there"
    for moment in (line, line + 1):
        outcome, _ = place.resumed(setting, place.stop(setting, moment, str(moment)))
        assert outcome.same_as(whole), moments[moment]
        assert outcome.record["candidates"][0]["dropped_after"] == 1


def test_a_moved_run_keeps_its_best_weights(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = SETTINGS["patience"]
    whole, moments = place.whole(setting)
    sealed = occurrences(moments, "after seal")
    (place.folder / "elsewhere").mkdir()
    for moment in (sealed[-2], sealed[-1]):
        stopped = place.stop(setting, moment, str(moment))
        stopped.rename(place.folder / "elsewhere" / stopped.name)
        monkeypatch.chdir(place.folder / "elsewhere")
        outcome, _ = place.resumed(setting, Path(stopped.name))
        assert outcome.same_as(whole)


@pytest.mark.parametrize("both", [False, True])
def test_a_half_written_checkpoint_is_set_aside(both: bool, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    setting = SETTINGS["three are kept"]
    whole, moments = place.whole(setting)
    folder = place.stop(setting, occurrences(moments, "before _save_rng_state")[2])
    stage = folder / "student"
    assert {path.name for path in stage.iterdir()} == {"checkpoint-1", "checkpoint-2", "checkpoint-3"}
    for name in ["checkpoint-1", "checkpoint-2"] if both else ["checkpoint-2"]:
        (stage / name / "optimizer.pt").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        outcome, passed = place.resumed(setting, folder)
    assert outcome.same_as(whole)
    assert passed.count("before training_step") == (6 if both else 5)
    told = "begins again" if both else "goes on from checkpoint-1"
    assert any(f"stage student {told}; not whole, and removed: checkpoint-3" in line for line in caplog.messages)


def test_a_stage_keeps_to_what_it_reads_of_its_teacher(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full at the first start or at the second: kept outputs are rounded, and would show."""
    setting = Setting({**STEPS, "num_train_epochs": 2}, engine={"teacher_cache": "auto"}, **DIRECT)
    cached, moments = place.whole(setting)
    assert cached.decisions["student-teacher"] == {"cached": True}
    moment = occurrences(moments, "after seal")[0]
    kept = place.stop(setting, moment, "kept")
    with monkeypatch.context() as full:
        full.setattr(TeacherStore, "_cache", refused)
        live, _ = place.whole(setting)
        assert live.decisions["student-teacher"] == {"cached": False} and not live.same_as(cached)
        ran = place.stop(setting, moment, "ran")
        with pytest.raises(StorageError):
            place.resumed(setting, kept)
    assert place.resumed(setting, ran)[0].same_as(live)
    assert place.resumed(setting, kept)[0].same_as(cached)


def test_checkpoints_are_kept_up_to_the_limit(place: Place) -> None:
    setting = SETTINGS["three are kept"]
    _, moments = place.whole(setting)
    folder = place.stop(setting, occurrences(moments, "before save_weights")[0])
    assert {path.name for path in (folder / "student").iterdir()} == {f"checkpoint-{step}" for step in (4, 5, 6)}
    place.resumed(setting, folder)
    assert {path.name for path in (folder / "student").iterdir()} == {"weights.safetensors"}


def test_chance_goes_on_as_if_nothing_had_been_drawn() -> None:
    def draw() -> list[Any]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]

    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = [draw(), draw()]
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    found = [draw()]
    with pytest.raises(ValueError, match="of the block"), same_randomness():
        draw(), torch.manual_seed(9)
        raise ValueError("of the block")
    assert [*found, draw()] == expected
