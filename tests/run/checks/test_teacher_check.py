"""A teacher that does not know its data is told before anything is trained, in every task, and a good one is not."""

from __future__ import annotations

import copy
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModelForSequenceClassification, BertConfig, EvalPrediction

from minidisc_plugin import compress
from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.records import read_results
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.run.checks.teacher import check_teacher, other_order
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.tasks.multi_label import MultiLabelClassification
from tests.builders.tiny import make_config, make_run_files
from tests.tasks.making import make_task_run

TASKS = [
    ("token-classification", "token-classification", "seqeval"),
    pytest.param("token-classification", "token-classification", "accuracy", marks=pytest.mark.slow),
    ("question-answering", "question-answering", "squad"),
    ("text-generation", "gpt2", "bits_saved"),
    pytest.param("text-generation", "gpt2", "accuracy", marks=pytest.mark.slow),
    pytest.param("text2text-generation", "t5", "bits_saved", marks=pytest.mark.slow),
]


def said(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    check_teacher(prepared)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:], "training would draw something else"
    found = [record.getMessage() for record in caplog.records if record.name == "minidisc_plugin.run.checks.teacher"]
    assert all("\n" not in message for message in found)
    return found


def ready(data: dict[str, Any], folder: Path) -> Prepared:
    return prepare(CompressionConfig.model_validate(data), folder / "checkpoints")


def with_teacher(folder: Path, to: Path, change: Callable[[Any], None]) -> str:
    """The teacher of a run, changed."""
    from transformers import AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder / "teacher")
    change(model)
    model.save_pretrained(to)
    AutoTokenizer.from_pretrained(folder / "teacher").save_pretrained(to)
    return str(to)


def turn_round(model: Any) -> None:
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight.flip(0))
        model.classifier.bias.copy_(model.classifier.bias.flip(0))


def untrain(model: Any) -> None:
    with torch.no_grad():
        model.classifier.weight.normal_(std=0.02, generator=torch.Generator().manual_seed(0))


def test_a_good_teacher_is_not_mentioned(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared = ready(make_config(run_files), tmp_path)
    assert said(prepared, caplog) == []
    assert not (tmp_path / "checkpoints").exists()


def test_classes_in_another_order_are_named(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make_config(run_files, model=with_teacher(run_files, tmp_path / "turned", turn_round))
    (message,) = said(ready(data, tmp_path), caplog)
    assert "accuracy on the 24 examples of the selection split is 0" in message
    assert "'LABEL_0' of the data looks like the model's 'LABEL_1'" in message
    assert "'LABEL_1' of the data looks like the model's 'LABEL_0'" in message


def test_a_head_that_was_not_trained(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make_config(run_files, model=with_teacher(run_files, tmp_path / "untrained", untrain))
    (message,) = said(ready(data, tmp_path), caplog)
    assert "no better than by chance" in message and "looks like" not in message


def test_predictions_that_are_no_numbers(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared = ready(make_config(run_files), tmp_path)
    prepared.teacher.classifier.bias.data.fill_(float("nan"))
    (message,) = said(prepared, caplog)
    assert "is nan" in message


def test_a_selection_split_of_one_class(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = tmp_path / "train.csv"
    train.write_text("sentence,label\n" + "good word1,1\n" * 30 + "bad word1,0\n", encoding="utf-8")
    data = make_config(run_files, selection_size=0.05)
    data["dataset"]["data_files"]["train"] = str(train)
    (message,) = said(ready(data, tmp_path), caplog)
    assert "all their labels are 'LABEL_1'" in message


def test_a_reported_split_whose_labels_are_turned_round(
    run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turned = tmp_path / "test.csv"
    lines = (run_files / "test.csv").read_text(encoding="utf-8").splitlines()
    other = {"0": "1", "1": "0"}
    turned.write_text("\n".join([lines[0], *(line[:-1] + other[line[-1]] for line in lines[1:])]), encoding="utf-8")
    data = make_config(run_files)
    data["dataset"]["data_files"]["test"] = str(turned)
    (message,) = said(ready(data, tmp_path), caplog)
    assert f"accuracy on the {len(lines) - 1} examples of the test split is 0" in message
    assert "'LABEL_0' of the data looks like the model's 'LABEL_1'" in message


def test_a_regression(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_run_files(tmp_path, regression=True)
    data = make_config(tmp_path, regression=True)
    assert said(ready(data, tmp_path), caplog) == []
    turned = {**data, "model": with_teacher(tmp_path, tmp_path / "turned", turn_sign)}
    (message,) = said(ready(turned, tmp_path), caplog)
    assert "its pearsonr on the 24 examples" in message and "no better than by chance" in message


def turn_sign(model: Any) -> None:
    with torch.no_grad():
        model.classifier.weight.mul_(-1)
        model.classifier.bias.mul_(-1)


@pytest.mark.parametrize(("task", "kind", "metric"), TASKS)
def test_every_task(task: str, kind: str, metric: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make_task_run(tmp_path, task, kind, metric, epochs=30 if kind == "t5" else 12)
    prepared = ready(data, tmp_path)
    assert said(prepared, caplog) == []
    torch.manual_seed(0)
    untrained = copy.deepcopy(prepared.teacher)
    for parameter in untrained.parameters():
        parameter.data.normal_(std=0.02)
    object.__setattr__(prepared, "teacher", untrained)
    (message,) = said(prepared, caplog)
    assert f"its {metric} on the" in message


def test_words_whose_classes_stand_in_another_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make_task_run(tmp_path, "token-classification", "token-classification", "seqeval")
    prepared = ready(data, tmp_path)
    order = [0, 3, 4, 1, 2]  # GOOD and BAD, exchanged
    head = prepared.teacher.classifier
    head.weight.data, head.bias.data = head.weight.data[order], head.bias.data[order]
    (message,) = said(prepared, caplog)
    assert "'B-GOOD' of the data looks like the model's 'B-BAD'" in message and "'O' of the data" not in message


def test_labels_of_several_an_example_in_another_order() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (60, 3)).astype(float)
    prediction = EvalPrediction((2 * labels - 1)[:, [1, 0, 2]], labels)
    found = other_order(MultiLabelClassification().confusion(prediction, BertConfig(num_labels=3)), ["a", "b", "c"])
    assert found is not None and found.startswith("label 'a' of the data looks like the model's 'b', 'b' of")
    assert "'c'" not in found


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([[50, 0], [0, 50]], None),
        (
            [[0, 50], [50, 0]],
            "label 'a' of the data looks like the model's 'b', 'b' of the data looks like the model's 'a'",
        ),
        ([[25, 25], [26, 24]], None),
        ([[0, 90], [0, 10]], None),  # one class only is ever predicted
        (
            [[0, 90], [10, 0]],
            "label 'a' of the data looks like the model's 'b', 'b' of the data looks like the model's 'a'",
        ),
        ([[45, 5], [30, 20]], None),
        ([[0, 1], [1, 0]], None),  # two examples say nothing
    ],
)
def test_another_order_is_seen_where_it_explains_much(counts: list[list[int]], expected: str | None) -> None:
    assert other_order(np.array(counts), ["a", "b"]) == expected


def test_two_of_many_classes_exchanged() -> None:
    counts = np.diag([500, 40, 40, 30, 30])
    counts[[1, 2]] = counts[[2, 1]]
    found = other_order(counts, ["O", "B-LOC", "B-ORG", "I-LOC", "I-ORG"])
    assert found is not None and found.count("looks like") == 2
    assert "'B-LOC' of the data looks like the model's 'B-ORG'" in found


def test_it_is_said_before_training(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = make_config(run_files, model=with_teacher(run_files, tmp_path / "turned", turn_round), scheduler="direct")
    data["output_dir"] = str(tmp_path / "out")
    with caplog.at_level("INFO"):
        compress(CompressionConfig.model_validate(data))
    places = [place for place, message in enumerate(caplog.messages) if "looks like the model's" in message]
    assert len(places) == 1
    assert places[0] < next(place for place, text in enumerate(caplog.messages) if text.startswith("importance of"))
    assert "teacher" not in " ".join(read_results(tmp_path / "out").seconds)


@pytest.mark.slow
def test_a_plan_says_so_in_one_line(run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files, model=with_teacher(run_files, tmp_path / "turned", turn_round))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    command = [sys.executable, "-m", "minidisc_plugin.cli", "plan", str(tmp_path / "config.yaml"), "--no-calibration"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.count("teacher: its accuracy on the 24 examples") == 1
    assert "looks like the model's 'LABEL_1'" in done.stderr
