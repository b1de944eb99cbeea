"""Teachers that give an example several labels, or none: their labels, losses, metrics, and a whole run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, EvalPrediction

import minidisc_plugin
from minidisc_plugin import CompressionConfig, NestedModel, compress
from minidisc_plugin.contracts.config import MetricConfig
from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.foundation.errors import ConfigError, DataError, HostError, MetricError, UnsupportedModelError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.objectives import KnowledgeDistillation, MiniDiscObjective
from minidisc_plugin.run.pipeline import Result
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.tasks.label_sets import label_vectors
from minidisc_plugin.tasks.multi_label import PROBLEM, MultiLabelClassification
from minidisc_plugin.tasks.registry import TASKS, task_of_model
from minidisc_plugin.training.padding import PaddedTo
from tests.builders.tiny import BAD, GOOD, OTHER, make_batch, make_bert, make_config, make_tokenizer

NAMES = ["good", "bad", "long"]
TASK = MultiLabelClassification()


def config_of(names: list[str] = NAMES) -> BertConfig:
    by_index = dict(enumerate(names))
    by_name = {name: index for index, name in by_index.items()}
    return BertConfig(problem_type=PROBLEM, id2label=by_index, label2id=by_name)


def make_multi(seed: int = 0) -> Any:
    settings = config_of()
    return make_bert(labels=3, seed=seed, problem_type=PROBLEM, id2label=settings.id2label, label2id=settings.label2id)


def batch_of(size: int = 6) -> dict[str, torch.Tensor]:
    batch = make_batch(size=size)
    chance = torch.Generator().manual_seed(1)
    return {**batch, "labels": torch.randint(0, 2, (size, 3), generator=chance).float()}


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([["good"], ["long", "bad"], []], [[1, 0, 0], [0, 1, 1], [0, 0, 0]]),
        ([[0], [2, 1], []], [[1, 0, 0], [0, 1, 1], [0, 0, 0]]),
        ([[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[1, 0, 0], [0, 1, 1], [0, 0, 0]]),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1, 0, 0], [0, 1, 1]]),
        ([[True, False, False], [False, True, True]], [[1, 0, 0], [0, 1, 1]]),
        (['["good"]', '["long", "bad"]', "[]"], [[1, 0, 0], [0, 1, 1], [0, 0, 0]]),
        (["[1, 0, 0]", "[0, 1, 1]"], [[1, 0, 0], [0, 1, 1]]),
        ([["GOOD "], ["Long"]], [[1, 0, 0], [0, 0, 1]]),
    ],
)
def test_lists_become_vectors(lists: list[Any], expected: list[list[int]]) -> None:
    assert label_vectors(lists, config_of(), "x") == expected


@given(st.lists(st.sets(st.sampled_from(range(5)), max_size=5), min_size=1))
def test_every_form_says_the_same(sets: list[set[int]]) -> None:
    names = ["e", "d", "c", "b", "a"]
    expected = [[float(index in each) for index in range(5)] for each in sets]
    for lists in (
        [[names[index] for index in each] for each in sets],
        [list(each) for each in sets],
        [[int(index in each) for index in range(5)] for each in sets],
        [json.dumps([names[index] for index in each]) for each in sets],
    ):
        assert label_vectors(lists, config_of(names), "x") == expected


def test_classes_of_a_dataset_go_by_their_names() -> None:
    kind = Features({"text": Value("string"), "label": Sequence(ClassLabel(names=["long", "bad", "good"]))})
    split = Dataset.from_dict({"text": ["a", "b", "c"], "label": [[0], [2, 1], []]}, features=kind)
    columns = DatasetConfig(path="x", text=["text"], label="label")
    found = TASK.check(split, "train", columns, config_of())
    assert found[found.column_names[-1]] == [[0, 0, 1], [1, 1, 0], [0, 0, 0]]
    two = Features({"text": Value("string"), "label": Sequence(ClassLabel(names=["bad", "good"]))})
    split = Dataset.from_dict({"text": ["a", "b"], "label": [[0, 1], [1, 0]]}, features=two)
    found = TASK.check(split, "train", columns, config_of(["good", "bad"]))
    assert found[found.column_names[-1]] == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("lists", "names", "parts"),
    [
        ([["good"], None], NAMES, ("row 1 (from 0) of x has no list of labels",)),
        (["good", "bad"], NAMES, ("row 0 ", "has no list of labels", '["a", "b"]')),
        ([1, 0], NAMES, ("row 0 ", "has no list of labels")),
        (["good;bad"], NAMES, ("has no list of labels",)),
        (['["good"]', "[" * 5000], NAMES, ("row 1 (from 0) of x has no list of labels",)),
        (["[" * 500 + "]" * 500], NAMES, ("row 0 ", "has no list of labels")),
        (['[{"good": 1}]'], NAMES, ("row 0 ", "has no list of labels")),
        ([[["good"]]], NAMES, ("row 0 ", "has no list of labels")),
        ([["good", None]], NAMES, ("row 0 (from 0) of x has none",)),
        ([["good"], ["fine"]], NAMES, ("'fine' in row 1", "good, bad, long")),
        ([[0], [3]], NAMES, ("3 in row 1",)),
        ([[0, 1, 0], [0, 1]], NAMES, ("row 0 (from 0) of x is [0, 1, 0], neither",)),
        ([[0, 1, 0, 0], [0, 0, 0, 1]], NAMES, ("neither different classes nor a 0 or 1 for each of the model's 3",)),
        ([["good", "good"]], NAMES, ("neither different classes",)),
        ([[0, 1], [1, 0]], ["a", "b"], ("may be indices of classes, or a 0 or 1 for each of 2", "names")),
        ([[0]], ["a"], ("may be indices",)),
    ],
)
def test_lists_that_say_too_little_are_refused(lists: list[Any], names: list[str], parts: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        label_vectors(lists, config_of(names), "x")
    assert "\n" not in str(caught.value)
    for part in ("dataset.label: ", *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [([[0.0, 0.0, 0.0]] * 2, "[]"), ([[1.0, 0.0, 1.0]] * 2, "['good', 'long']"), ([[0.0] * 3, [1.0] * 3], None)],
)
def test_lists_that_are_all_one_are_named(vectors: list[list[float]], said: str | None) -> None:
    assert TASK.sole_label(Dataset.from_dict({"labels": vectors}), config_of()) == said


def test_two_classes_are_told_apart_where_a_row_says_so() -> None:
    assert label_vectors([[0, 1], [1, 1]], config_of(["a", "b"]), "x") == [[0, 1], [1, 1]]
    assert label_vectors([[0, 1], [1, 0]], config_of(["7", "8"]), "x") == [[0, 1], [1, 0]]
    assert label_vectors([[0], [1]], config_of(["a"]), "x") == [[0], [1]]
    assert label_vectors([[0, 1], []], config_of(["a", "b"]), "x") == [[1, 1], [0, 0]]


def test_lists_for_a_model_of_one_label_are_refused() -> None:
    split = Dataset.from_dict({"text": ["a"], "label": [["good"]]})
    columns = DatasetConfig(path="x", text=["text"], label="label")
    with pytest.raises(DataError, match=r"holds lists, and the model gives each example one label.*problem_type"):
        TASKS["text-classification"]().check(split, "train", columns, make_bert(labels=3).config)


def test_the_task_is_told_by_the_config() -> None:
    assert isinstance(task_of_model(make_multi()), MultiLabelClassification)
    assert not isinstance(task_of_model(make_bert(labels=3)), MultiLabelClassification)
    two = make_bert(labels=2)
    assert two.config.problem_type is None and type(task_of_model(two)) is TASKS["text-classification"]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_teachers_probabilities_are_followed_label_by_label(temperature: float) -> None:
    chance = torch.Generator().manual_seed(0)
    mine, theirs = torch.randn(2, 5, 3, generator=chance)
    states = tuple(torch.randn(4, 5, 7, 8, generator=chance))
    labels = torch.randint(0, 2, (5, 3), generator=chance).float()
    student, teacher = (SimpleNamespace(logits=logits, hidden_states=states) for logits in (mine, theirs))
    compared = TASK.compared(student, teacher, {"attention_mask": torch.ones(5, 7), "labels": labels})
    expected = functional.binary_cross_entropy_with_logits(mine / temperature, (theirs / temperature).sigmoid())
    settings = DistillationConfig(temperature=temperature)
    loss = MiniDiscObjective(settings, regression=False)(*compared)
    torch.testing.assert_close(loss, expected / 2)  # equal hidden states differ by nothing
    settings = DistillationConfig(temperature=temperature, loss_weights=(0.3, 0.7))
    loss = KnowledgeDistillation(settings, regression=False)(*compared)
    against_labels = functional.binary_cross_entropy_with_logits(mine, labels)
    torch.testing.assert_close(loss, 0.3 * against_labels + 0.7 * temperature**2 * expected)


def test_importance_is_of_the_models_own_loss_and_does_not_depend_on_batches() -> None:
    batch = batch_of(4)
    rows = [{name: value[[row]] for name, value in batch.items()} for row in range(4)]
    whole, single = (NestedModel(make_multi()).rank(part) for part in ([batch], rows))
    for name, scores in whole.tensors().items():
        torch.testing.assert_close(scores, single.tensors()[name], rtol=1e-4, atol=1e-5)
    flipped = NestedModel(make_multi()).rank([{**batch, "labels": 1 - batch["labels"]}])
    assert any(not torch.equal(scores, flipped.tensors()[name]) for name, scores in whole.tensors().items())
    model = make_multi()
    loss = functional.binary_cross_entropy_with_logits(model(**batch).logits, batch["labels"])
    torch.testing.assert_close(model(**batch).loss, loss)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (MetricConfig(name="f1"), lambda wanted, found: f1_score(wanted, found, average="micro", zero_division=0)),
        (
            MetricConfig(name="f1", options={"average": "macro"}),
            lambda wanted, found: f1_score(wanted, found, average="macro", zero_division=0),
        ),
        (
            MetricConfig(name="f1", options={"average": "samples"}),
            lambda wanted, found: f1_score(wanted, found, average="samples", zero_division=0),
        ),
        (MetricConfig(name="accuracy"), accuracy_score),
    ],
)
def test_metrics_compare_lists(metric: MetricConfig, expected: Any) -> None:
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 3, generator=chance).numpy()
    labels = torch.randint(0, 2, (20, 3), generator=chance).float().numpy()
    compute = TASK.compute_metrics(metric, config_of())
    found = compute(EvalPrediction(logits, labels))
    assert found == {metric.name: pytest.approx(expected(labels.astype(int), (logits > 0).astype(int)))}
    assert compute(TASK.perfect_predictions(config_of())) == {metric.name: 1.0}
    assert compute(EvalPrediction((logits, logits), labels)) == found  # an encoder-decoder gives more
    logits[3, 1] = float("nan")
    assert str(compute(EvalPrediction(logits, labels))[metric.name]) == "nan"


def test_f1_of_a_single_label_is_that_of_the_label() -> None:
    compute = TASK.compute_metrics(MetricConfig(name="f1"), config_of(["a"]))
    logits, labels = torch.tensor([[1.0], [1.0], [-1.0]]).numpy(), torch.tensor([[1.0], [0.0], [0.0]]).numpy()
    assert compute(EvalPrediction(logits, labels))["f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["matthews_correlation", "pearsonr", "spearmanr"])
def test_metrics_of_one_value_an_example_are_refused(name: str) -> None:
    with pytest.raises(MetricError, match=f"metric {name} compares one value an example, and the model gives several"):
        TASK.compute_metrics(MetricConfig(name=name), config_of())


def test_binary_f1_is_refused() -> None:
    compute = TASK.compute_metrics(MetricConfig(name="f1", options={"average": "binary"}), config_of())
    with pytest.raises(MetricError, match=r"average 'binary' is of one class.*micro"):
        compute(TASK.perfect_predictions(config_of()))


def test_labels_are_never_padded() -> None:
    batch = {"input_ids": torch.ones(2, 3, dtype=torch.long), "labels": torch.ones(2, 3)}
    padded = PaddedTo(lambda rows: batch, 8, 0, TASK.whole_columns)([])
    assert padded["input_ids"].shape == (2, 8) and torch.equal(padded["labels"], batch["labels"])


def rows_of(count: int, seed: int) -> list[dict[str, Any]]:
    """Sentences that may be good, bad, both or neither, and may be long."""
    chosen = random.Random(seed)
    rows = []
    for _ in range(count):
        labels = [name for name in NAMES if chosen.random() < 0.4]
        words = [chosen.choice(OTHER) for _ in range(9 if "long" in labels else 3)]
        words += [chosen.choice({"good": GOOD, "bad": BAD}[name]) for name in labels if name != "long"]
        chosen.shuffle(words)
        rows.append({"sentence": " ".join(words), "tags": labels[::-1]})
    return rows


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that learned its data, and the data as JSON lines."""
    folder = tmp_path_factory.mktemp("multi")
    tokenizer = make_tokenizer(folder / "teacher")
    model = make_multi().train()
    for name, count, seed in (("train", 300, 1), ("validation", 60, 2), ("test", 80, 3)):
        lines = "\n".join(json.dumps(row) for row in rows_of(count, seed))
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    rows = rows_of(300, 1)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(10):
        for start in range(0, len(rows), 30):
            part = rows[start : start + 30]
            batch = tokenizer([row["sentence"] for row in part], padding=True, return_tensors="pt")
            labels = torch.tensor([[float(name in row["tags"]) for name in NAMES] for row in part])
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval().save_pretrained(folder / "teacher")
    return folder


def settings(files: Path, output: Path, **changes: Any) -> dict[str, Any]:
    data = make_config(files, output_dir=str(output), metric="f1", **changes)
    data["dataset"] = {
        "path": "json",
        "data_files": {name: str(files / f"{name}.jsonl") for name in ("train", "validation", "test")},
        "text": "sentence",
        "label": "tags",
    }
    data["training"]["num_train_epochs"] = 3
    return data


@pytest.fixture(scope="module")
def finished(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    output = tmp_path_factory.mktemp("out") / "run"
    return compress(CompressionConfig.model_validate(settings(files, output)))


def f1_by_hand(model: Any, files: Path) -> float:
    """Of all labels of all test sentences together, counted."""
    tokenizer = AutoTokenizer.from_pretrained(files / "teacher")
    rows = rows_of(80, 3)
    with torch.no_grad():
        logits = model(**tokenizer([row["sentence"] for row in rows], padding=True, return_tensors="pt")).logits
    found = {(row, NAMES[label]) for row, label in (logits.sigmoid() > 0.5).nonzero().tolist()}
    wanted = {(row, name) for row, each in enumerate(rows) for name in each["tags"]}
    return 2 * len(found & wanted) / (len(found) + len(wanted))


def test_a_whole_run_reports_what_a_count_by_hand_gives(finished: Result, files: Path) -> None:
    for role, folder in (("teacher", files / "teacher"), ("student", finished.output_dir / "student")):
        row = finished.results.row(role)
        assert row is not None and row.metric is not None
        assert row.metric == pytest.approx(f1_by_hand(minidisc_plugin.load(folder), files), abs=1e-6)
        assert row.metric > 0.8, role
    elsewhere = AutoModelForSequenceClassification.from_pretrained(
        finished.output_dir / "student", trust_remote_code=True
    )
    assert elsewhere.config.problem_type == PROBLEM and elsewhere.config.id2label == dict(enumerate(NAMES))
    resolved = yaml.safe_load((finished.output_dir / "config.resolved.yaml").read_text(encoding="utf-8"))
    assert resolved["trainer"] == "transformers"


def test_what_does_not_fit_is_refused_before_training(files: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        (
            {"trainer": "inc"},
            ConfigError,
            "trainer: 'inc' has no loss for task text-classification with several labels",
        ),
        ({"metric": "pearsonr"}, MetricError, "metric pearsonr compares one value an example"),
        ({"metric": {"name": "f1", "options": {"average": "binary"}}}, MetricError, "average 'binary'"),
    ]
    for changes, error, message in cases:
        data = settings(files, tmp_path / "out") | changes
        if changes.get("trainer") == "inc" and not available("host", "inc"):
            error, message = HostError, "INC"
        with pytest.raises(error, match=message):
            prepare(CompressionConfig.model_validate(data), tmp_path / "checkpoints")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("objective", ["knowledge_distillation", "ted", "ad_kd"])
def test_other_objectives_and_a_cache_work_too(objective: str, files: Path, tmp_path: Path) -> None:
    changes = {"scheduler": "direct", "scheduler_config": {}, "distillation": {"objective": objective}}
    data = settings(files, tmp_path / "out", engine={"teacher_cache": True, "padding": "max_length"}, **changes)
    data["max_length"] = 32
    result = compress(CompressionConfig.model_validate(data))
    row = result.results.row("student")
    assert row is not None and row.metric is not None and row.metric > 0.7


@pytest.mark.parametrize("objective", ["minidisc", "knowledge_distillation"])
def test_a_student_follows_teacher_and_assistant(objective: str, files: Path, tmp_path: Path) -> None:
    squared = {"loss_types": ["CE", "MSE"], "loss_weights": [0.0, 1.0]} if objective != "minidisc" else {}
    distillation = {"objective": objective, "guide": "both", **squared}
    data = settings(files, tmp_path / "out", distillation=distillation)
    result = compress(CompressionConfig.model_validate(data))
    row = result.results.row("student")
    assert result.schedule.assistants and row is not None and row.metric is not None and row.metric > 0.7


@pytest.mark.slow
@pytest.mark.skipif(not available("openvino"), reason="OpenVINO is not installed")
def test_exports_are_measured_alike(files: Path, tmp_path: Path) -> None:
    data = settings(files, tmp_path / "out", steps=["export", "quantization"], scheduler="direct", scheduler_config={})
    result = compress(CompressionConfig.model_validate(data))
    rows = {row.runtime: row.metric for row in result.results.rows if row.role == "student"}
    student = result.results.row("student")
    assert student is not None and student.runtime in rows and len(rows) == 3
    assert rows["OpenVINO fp32"] == pytest.approx(student.metric, abs=1e-6)
    assert rows["OpenVINO int8"] == pytest.approx(student.metric, abs=0.1)


@pytest.mark.skipif(not available("host", "inc"), reason="Neural Compressor is not installed")
def test_the_loss_of_neural_compressor_refuses_it() -> None:
    from minidisc_plugin.integrations.inc.criterion import MiniDiscLoss

    with pytest.raises(UnsupportedModelError, match=r"compares one class an example.*set trainer: transformers"):
        MiniDiscLoss(student_model=make_multi(), teacher_model=make_multi())
