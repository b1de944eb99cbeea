"""Neural Compressor's own functions run a schedule, and what comes back is a finished student."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from neural_compressor.torch.quantization import RTNConfig, convert, prepare, quantize
from torch import Tensor
from transformers import PreTrainedModel

from minidisc_plugin import load
from minidisc_plugin.foundation.errors import ConfigError, RunDirectoryError, UnsupportedModelError
from minidisc_plugin.integrations.inc3 import MiniDiscConfig, Trial
from minidisc_plugin.schedulers.minidisc import MiniDisc
from tests.builders.script import arguments, teacher_of
from tests.integrations.inc3.making import inputs, logits, size

SETTINGS: dict[str, Any] = {"target_sparsity": 0.8, "candidates": [0.6, 0.4]}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, which has to stay so."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def teacher(run_files: Path) -> PreTrainedModel:
    return teacher_of(run_files)


@pytest.fixture
def trial(run_files: Path, tmp_path: Path) -> Trial:
    return Trial(**inputs(run_files, tmp_path / "out"))


def by_quantize(teacher: PreTrainedModel, trial: Trial) -> PreTrainedModel:
    return quantize(teacher, MiniDiscConfig(**SETTINGS), run_args=trial)


def by_dictionary(teacher: PreTrainedModel, trial: Trial) -> PreTrainedModel:
    return quantize(teacher, {"minidisc": SETTINGS}, run_args=trial)


def by_data(teacher: PreTrainedModel, trial: Trial) -> PreTrainedModel:
    return quantize(teacher, MiniDiscConfig(**SETTINGS, data=trial), inplace=False)


def by_prepare(teacher: PreTrainedModel, trial: Trial) -> PreTrainedModel:
    return convert(prepare(teacher, MiniDiscConfig(**SETTINGS, data=trial)))


def state_of(model: PreTrainedModel) -> tuple[dict[str, Tensor], str]:
    return {name: value.clone() for name, value in model.state_dict().items()}, model.config.to_json_string()


@pytest.mark.parametrize(
    "call",
    [by_quantize, by_prepare, *(pytest.param(call, marks=pytest.mark.slow) for call in (by_dictionary, by_data))],
)
def test_each_call_gives_a_finished_student_and_leaves_the_teacher(
    call: Any, teacher: PreTrainedModel, trial: Trial, run_files: Path, tmp_path: Path
) -> None:
    weights, config = state_of(teacher)
    student = call(teacher, trial)

    after, config_after = state_of(teacher)
    assert weights.keys() == after.keys() and all(torch.equal(weights[name], after[name]) for name in weights)
    assert config == config_after

    schedule = MiniDisc(**SETTINGS).schedule(teacher_of(run_files), **inputs(run_files, tmp_path / "alone"))
    assert size(student) == size(schedule.student) < 0.7 * size(teacher)
    goal = logits(schedule.assistant)
    sliced, distilled = ((logits(model) - goal).square().mean() for model in (schedule.student, student))
    assert distilled < 0.5 * sliced
    assert not student.training and not {"is_prepared", "quant_config"} & vars(student).keys()
    assert not list((tmp_path / "work").iterdir())


def test_a_student_is_what_four_lines_of_a_script_make(
    teacher: PreTrainedModel, trial: Trial, run_files: Path, tmp_path: Path
) -> None:
    student = by_quantize(teacher, trial)
    (journal,) = (tmp_path / "out").glob("*/0.2/journal.json")
    stages = json.loads(journal.read_text(encoding="utf-8"))
    assert next(iter(stages)) == "importance" and {"sandwich", "selection", "student"} <= stages.keys()
    again = Trial(**inputs(run_files, tmp_path / "out2"))
    torch.testing.assert_close(logits(by_quantize(teacher_of(run_files), again)), logits(student))


def test_quantizing_the_student_in_a_second_call(teacher: PreTrainedModel, trial: Trial, tmp_path: Path) -> None:
    student = by_quantize(teacher, trial)
    expected = logits(student)
    student.save_pretrained(tmp_path / "student")
    loaded = load(tmp_path / "student")
    torch.testing.assert_close(logits(loaded), expected)
    config = RTNConfig(bits=8, group_size=-1)
    second, reread = (logits(quantize(model, copy.deepcopy(config))) for model in (student, loaded))
    torch.testing.assert_close(second, reread)
    assert (second - expected).abs().max() < 0.05
    assert not torch.equal(second, expected), "nothing was quantized"


def test_what_was_made_is_told_apart_by_the_teacher(teacher: PreTrainedModel, trial: Trial) -> None:
    student = by_quantize(teacher, trial)
    with torch.no_grad():
        student.classifier.weight.zero_()  # a caller's own copy
    other = teacher_of(Path(teacher.name_or_path).parent)
    with torch.no_grad():
        other.classifier.weight.neg_()
        other.classifier.bias.neg_()
    first, second = by_quantize(teacher, trial), by_quantize(other, trial)
    assert len(trial.students) == 2
    agree = (logits(first).argmax(-1) == logits(second).argmax(-1)).float().mean()
    assert agree < 0.5 and logits(first).abs().max() > 0.1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda teacher, trial: quantize(teacher, MiniDiscConfig(0.8)), "data: missing"),
        (lambda teacher, trial: prepare(teacher, MiniDiscConfig(0.8)), "data: missing"),
        (lambda teacher, trial: quantize(teacher, MiniDiscConfig(data=trial), run_args=trial), "give it once"),
        (lambda teacher, trial: quantize(teacher, MiniDiscConfig(), run_args=[1]), "run_args: [1] is no Trial"),
        (lambda teacher, trial: quantize(teacher, MiniDiscConfig(data=trial), run_fn=print), "run_fn: "),
        (lambda teacher, trial: quantize(teacher, MiniDiscConfig([0.9, 0.8], data=trial)), "for autotune"),
        (lambda teacher, trial: convert(teacher, MiniDiscConfig(data=trial)), "was not prepared"),
    ],
)
def test_calls_that_mean_nothing(wrong: Any, said: str, teacher: PreTrainedModel, trial: Trial) -> None:
    with pytest.raises(ConfigError) as raised:
        wrong(teacher, trial)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert not trial.students


def test_a_model_that_is_none_of_transformers(trial: Trial) -> None:
    with pytest.raises(UnsupportedModelError, match="Linear is no model of transformers"):
        by_quantize(torch.nn.Linear(2, 2), trial)


def test_a_sum_is_refused_whichever_comes_first(teacher: PreTrainedModel, trial: Trial) -> None:
    with pytest.raises(ConfigError, match=r"MiniDiscConfig \+ RTNConfig.*two calls.*quantize\(student, RTNConfig"):
        MiniDiscConfig(data=trial) + RTNConfig()
    with pytest.raises(ConfigError, match="two calls"):
        quantize(teacher, RTNConfig() + MiniDiscConfig(data=trial))
    with pytest.raises(ConfigError, match="two calls"):
        quantize(teacher, {"minidisc": SETTINGS, "rtn": {"bits": 8}}, run_args=trial)


@pytest.mark.parametrize("scheduler", ["direct", "fixed"])
def test_any_installed_scheduler(scheduler: str, teacher: PreTrainedModel, trial: Trial) -> None:
    settings = {} if scheduler == "direct" else {"assistants": [0.5]}
    student = quantize(teacher, MiniDiscConfig(0.8, scheduler=scheduler, data=trial, **settings))
    assert size(student) < 0.7 * size(teacher)


def test_a_trial_is_not_resumed_over_other_data(teacher: PreTrainedModel, run_files: Path, tmp_path: Path) -> None:
    first = inputs(run_files, tmp_path / "out", args=arguments(tmp_path / "out"))
    made = by_quantize(teacher, Trial(**first))
    flipped = first["train_dataset"].map(lambda row: {"labels": 1 - row["labels"]})
    other = arguments(tmp_path / "out", learning_rate=1e-2, num_train_epochs=5)
    with pytest.raises(
        RunDirectoryError,
        match=r"another args\.learning_rate, args\.num_train_epochs, selection_dataset, train_dataset; give what",
    ):
        by_quantize(teacher_of(run_files), Trial(**first | {"train_dataset": flipped, "args": other, "resume": True}))
    again = by_quantize(teacher_of(run_files), Trial(**first, resume=True))
    assert state_of(again)[0].keys() == state_of(made)[0].keys()
    assert all(torch.equal(state_of(again)[0][name], weight) for name, weight in state_of(made)[0].items())
