"""`autotune` finds the smallest student that is good enough, and trains what students share once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from neural_compressor.torch.quantization import TuningConfig, autotune, quantize
from transformers import AutoTokenizer, PreTrainedModel

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.inc3 import MiniDiscConfig, Trial
from tests.builders.script import teacher_of
from tests.builders.tiny import make_rows
from tests.integrations.inc3.making import inputs, logits, size

SPARSITIES = [0.95, 0.9, 0.8, 0.5]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, which has to stay so."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture(scope="session")
def fidelity(run_files: Path) -> Callable[[PreTrainedModel], float]:
    """Share of the probability that a student gives as its teacher does: finer than accuracy on so small a task."""
    tokenizer = AutoTokenizer.from_pretrained(run_files / "teacher")
    batch = tokenizer([row["sentence"] for row in make_rows(64, 3)], padding=True, return_tensors="pt")

    def probabilities(model: PreTrainedModel) -> torch.Tensor:
        with torch.no_grad():
            return model(**batch).logits.softmax(-1)

    goal = probabilities(teacher_of(run_files))
    return lambda model: float(1 - (probabilities(model) - goal).abs().sum(-1).mean() / 2)


def make_trial(files: Path, folder: Path) -> Trial:
    """One that is trained so little that small students fall behind."""
    given = inputs(files, folder)
    given["args"].learning_rate = 3e-4
    return Trial(**given)


def stages_of(folder: Path) -> list[list[str]]:
    """Names of the stages of each workbench that was at work."""
    return [list(json.loads(file.read_text(encoding="utf-8"))) for file in sorted(folder.rglob("journal.json"))]


def test_it_picks_what_separate_runs_would_pick(
    run_files: Path, tmp_path: Path, fidelity: Callable[[PreTrainedModel], float]
) -> None:
    teacher = teacher_of(run_files)
    separate = [
        quantize(teacher, MiniDiscConfig(sparsity), run_args=make_trial(run_files, tmp_path / f"{sparsity}"))
        for sparsity in SPARSITIES
    ]
    good = [fidelity(student) >= 0.99 for student in separate]
    assert good == [False, False, True, True], [fidelity(student) for student in separate]

    trial = make_trial(run_files, tmp_path / "out")
    mixed = [0.8, 0.95, 0.5, 0.9]
    seen: list[int] = []

    def judge(model: PreTrainedModel) -> float:
        seen.append(size(model))
        return fidelity(model)

    tuning = TuningConfig(config_set=[MiniDiscConfig(mixed, data=trial)], tolerable_loss=0.01)
    student = autotune(teacher, tuning, eval_fn=judge)
    assert size(student) == size(separate[2])
    assert seen == [size(teacher), *(size(model) for model in separate[:3])]

    (stages,) = stages_of(tmp_path / "out")
    assert [name for name in stages if name.startswith("selection") or name in ("importance", "sandwich")] == [
        "importance",
        "sandwich",
        "selection-of-0.05",
        "selection-of-0.1",
        "selection-of-0.2",
    ]
    assert [name for name in stages if name.startswith("student") and not name.endswith("-teacher")] == [
        "student-of-0.05",
        "student-of-0.1",
        "student-of-0.2",
    ]
    assert not list((tmp_path / "work").iterdir())


def test_none_is_good_enough_and_the_best_comes_without_training_again(run_files: Path, tmp_path: Path) -> None:
    trial = make_trial(run_files, tmp_path / "out")
    scores = iter([1.0, 0.5, 0.4])
    tuning = TuningConfig(config_set=[MiniDiscConfig([0.8, 0.5], data=trial)], tolerable_loss=0.01)
    before: list[list[str]] = []

    def judge(model: PreTrainedModel) -> float:
        before[:] = stages_of(tmp_path / "out")
        judged.append(logits(model))
        return next(scores)

    judged: list[torch.Tensor] = []
    student = autotune(teacher_of(run_files), tuning, eval_fn=judge)
    torch.testing.assert_close(logits(student), judged[1])  # that of 0.8, the better one by these scores
    assert stages_of(tmp_path / "out") == before and "student-of-0.5" in before[0]


def test_several_configs_share_what_their_trial_has(run_files: Path, tmp_path: Path) -> None:
    trial = make_trial(run_files, tmp_path / "out")
    configs = [MiniDiscConfig(0.9, data=trial), MiniDiscConfig(0.8, candidates=[0.55], data=trial)]
    scores = iter([1.0, 0.5, 1.0])
    student = autotune(teacher_of(run_files), TuningConfig(config_set=configs), eval_fn=lambda model: next(scores))
    (stages,) = stages_of(tmp_path / "out")
    assert stages.count("sandwich") == 1 and {"student-of-0.1", "student-of-0.2"} <= set(stages)
    assert size(student) < size(teacher_of(run_files))


def test_a_set_in_the_wrong_order_is_refused_before_it_trains(run_files: Path, tmp_path: Path) -> None:
    trial = make_trial(run_files, tmp_path / "out")
    configs = [MiniDiscConfig(0.5, data=trial), MiniDiscConfig(0.9, data=trial)]
    with pytest.raises(ConfigError, match=r"config_set: 0\.9 comes after 0\.5.*a list"):
        autotune(teacher_of(run_files), TuningConfig(config_set=configs), eval_fn=lambda model: 1.0)
    assert not trial.students
    # The next call is another set.
    tuning = TuningConfig(config_set=[MiniDiscConfig([0.95, 0.9], data=trial)])
    assert autotune(teacher_of(run_files), tuning, eval_fn=lambda model: 1.0) is not None


@pytest.mark.parametrize("where", ["in the configs", "run_args"])
@pytest.mark.parametrize("given", [[0.8, [0.8]], [[0.8, 0.5], 0.5]])
def test_a_sparsity_that_is_given_again_still_ends_with_a_student(
    given: list[Any], where: str, run_files: Path, tmp_path: Path
) -> None:
    trial = make_trial(run_files, tmp_path / "out")
    data: Any = {"data": trial} if where == "in the configs" else {}
    configs = [MiniDiscConfig(sparsity, scheduler="direct", **data) for sparsity in given]
    scores = iter([1.0, 0.5, 0.5, 0.5])
    tuning = TuningConfig(config_set=configs, tolerable_loss=0.01)
    run_args = {} if data else {"run_args": trial}
    student = autotune(teacher_of(run_files), tuning, eval_fn=lambda model: next(scores), **run_args)
    assert student is not None and size(student) < size(teacher_of(run_files))


def test_a_config_that_is_given_twice_is_trained_once(run_files: Path, tmp_path: Path) -> None:
    config = MiniDiscConfig(0.8, scheduler="direct", data=make_trial(run_files, tmp_path / "out"))
    scores = iter([1.0, 0.5, 0.5])
    tuning = TuningConfig(config_set=[config, config], tolerable_loss=0.01)
    assert autotune(teacher_of(run_files), tuning, eval_fn=lambda model: next(scores)) is not None
    assert len(stages_of(tmp_path / "out")) == 1


def test_run_args_and_a_list(run_files: Path, tmp_path: Path) -> None:
    trial = make_trial(run_files, tmp_path / "out")
    scores = iter([1.0, 0.5, 1.0])
    tuning = TuningConfig(config_set=[MiniDiscConfig([0.8, 0.9])])
    autotune(teacher_of(run_files), tuning, eval_fn=lambda model: next(scores), run_args=trial)
    (stages,) = stages_of(tmp_path / "out")
    assert stages.count("sandwich") == 1 and {"student-of-0.1", "student-of-0.2"} <= set(stages)


def test_another_scheduler_shares_the_teachers_outputs(run_files: Path, tmp_path: Path) -> None:
    trial = make_trial(run_files, tmp_path / "out")
    scores = iter([1.0, 0.5, 1.0])
    tuning = TuningConfig(config_set=[MiniDiscConfig([0.8, 0.9], scheduler="direct", data=trial)])
    autotune(teacher_of(run_files), tuning, eval_fn=lambda model: next(scores))
    assert len(stages_of(tmp_path / "out")) == 2
    assert len([path for path in (tmp_path / "out" / "teachers").iterdir() if path.is_dir()]) == 1


@pytest.mark.slow
def test_two_assistants_leave_the_shared_network_as_it_is(run_files: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"assistants": 2, "halving": False}
    trial = make_trial(run_files, tmp_path / "out")
    scores = iter([1.0, 0.5, 1.0])
    tuning = TuningConfig(config_set=[MiniDiscConfig([0.8, 0.9], data=trial, **settings)])
    student = autotune(teacher_of(run_files), tuning, eval_fn=lambda model: next(scores))
    (stages,) = stages_of(tmp_path / "out")
    assert {"assistant-2-of-0.1", "assistant-2-of-0.2"} <= set(stages)
    assert size(student) < size(teacher_of(run_files))


def test_a_student_that_failed_can_be_asked_for_again(
    run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from minidisc_plugin.schedulers.stage import Stage, Stages

    begin = Stages._begin

    def full(stages: Stages, stage: Stage, folder: Path) -> Any:
        if stage.name.startswith("student"):
            raise MemoryError
        return begin(stages, stage, folder)

    trial = make_trial(run_files, tmp_path / "out")
    config = MiniDiscConfig([0.9, 0.8], data=trial).expand()[0]
    with monkeypatch.context() as patch:
        patch.setattr(Stages, "_begin", full)
        with pytest.raises(MemoryError):
            quantize(teacher_of(run_files), config)
    assert size(quantize(teacher_of(run_files), config)) < size(teacher_of(run_files))
