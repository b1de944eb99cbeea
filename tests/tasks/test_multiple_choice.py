"""Multiple choice: forms of choices and labels, what is refused, and a run with its exports."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from transformers import AutoModelForMultipleChoice, AutoTokenizer

from minidisc_plugin import CompressionConfig, MinidiscError, compress
from minidisc_plugin.contracts.config import MetricConfig
from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.contracts.validation import validate
from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.integrations.hosts import available
from minidisc_plugin.integrations.schemes import WAYS
from minidisc_plugin.run.checks.examples import lengths
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.tasks.multiple_choice import ChoiceCollator, MultipleChoice
from minidisc_plugin.training.batches import GlobalBatches, example_lengths
from minidisc_plugin.training.dependable import DependableTraining
from minidisc_plugin.training.padding import PaddedTo
from tests.builders.kills import killed_at
from tests.builders.tiny import make_tokenizer
from tests.faults.outcome import difference, outcome
from tests.tasks.making import make_task_run

SCHEMES = [name for name, way in WAYS.items() if available(way.capability, way.route)]
TEXTS = [["word1 good", "bad", "fine"], ["great", "word2 word3 poor", "nice"], ["dull", "fine", "word4"]]
CONTEXTS = ["word4 word5", "word6", "word7 word8 word9"]


def checked(columns: dict[str, Any], features: Features | None = None, **settings: Any) -> Dataset:
    """A split as the task checks it."""
    split = Dataset.from_dict({"context": CONTEXTS, **columns}, features=features)
    config = DatasetConfig(path="x", **{"text": ["context"], "choices": ["choices"], **settings})
    return MultipleChoice().check(split, "train", config, None)  # type: ignore[arg-type]


def right(labels: list[Any], choices: Any = None) -> list[int]:
    """Which choices labels name."""
    return list(checked({"choices": choices or TEXTS, "label": labels})["right"])


def named(names: list[list[str]]) -> list[Any]:
    return [{"text": texts, "label": mine} for texts, mine in zip(TEXTS, names, strict=True)]


def test_choices_are_lists_columns_json_or_texts_with_names() -> None:
    columns = dict(zip("abc", map(list, zip(*TEXTS, strict=True)), strict=True))
    objects = [[{"label": str(place), "text": text} for place, text in enumerate(texts)] for texts in TEXTS]
    found = [
        checked({"choices": TEXTS, "label": [0, 1, 2]}),
        checked({**columns, "label": [0, 1, 2]}, choices=["a", "b", "c"]),
        checked({"choices": list(map(json.dumps, TEXTS)), "label": ["0", "1", "2"]}),
        checked({"choices": named([["A", "B", "C"]] * 3), "label": ["A", "B", "C"]}),
        checked({"choices": list(map(json.dumps, objects)), "label": ["0", "1", "2"]}),
    ]
    assert [list(one) for one in found] == [list(found[0])] * len(found)
    assert found[0]["choices"][1] == TEXTS[1] and list(found[0]["right"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "places"),
    [
        ([0, 2, 1], [0, 2, 1]),
        ([1, 3, 2], [0, 2, 1]),  # counted from 1: there is no fourth
        (["1", "3", "2"], [0, 2, 1]),
        ([0.0, 2.0, 1.0], [0, 2, 1]),
        (["a", "C", " b"], [0, 2, 1]),
    ],
)
def test_labels_are_numbers_or_letters(labels: list[Any], places: list[int]) -> None:
    assert right(labels) == places


def test_labels_are_the_names_that_an_example_gives_its_choices() -> None:
    names = [["1", "2", "3"], ["A", "B", "C"], ["C", "A", "B"]]
    assert right(["3", "A", "A"], named(names)) == [2, 0, 1]


def test_names_are_compared_as_people_do() -> None:
    assert right([1.0, 3.0, 2.0], named([[" 1", "2 ", "3"]] * 3)) == [0, 2, 1]
    assert right(["A", "c", " b"], named([["a", "b", "c"]] * 3)) == [0, 2, 1]


@pytest.mark.parametrize(
    ("declared", "labels", "places"),
    [
        (["x", "y", "z"], [2, 0, 1], [2, 0, 1]),
        (["C", "A", "B"], [0, 1, 2], [2, 0, 1]),
        (["1", "3", "2"], [0, 1, 2], [0, 2, 1]),
        (["2", "0", "1"], [0, 1, 1], [2, 0, 0]),
    ],
)
def test_declared_classes_are_what_they_are_called(declared: list[str], labels: list[int], places: list[int]) -> None:
    columns = {"context": Value("string"), "choices": List(Value("string")), "label": ClassLabel(names=declared)}
    assert list(checked({"choices": TEXTS, "label": labels}, Features(columns))["right"]) == places


def test_declared_classes_name_what_an_example_calls_so() -> None:
    split = Dataset.from_dict({"context": CONTEXTS, "choices": named([["C", "B", "A"]] * 3), "label": [0, 1, 2]})
    split = split.cast_column("label", ClassLabel(names=["A", "B", "C"]))
    config = DatasetConfig(path="x", text=["context"], choices=["choices"])
    found = MultipleChoice().check(split, "train", config, None)  # type: ignore[arg-type]
    assert list(found["right"]) == [2, 1, 0]


def test_a_label_that_may_be_the_text_of_another_choice_is_refused() -> None:
    texts, others = [["2", "0", "7"], ["9", "2", "1"], ["0", "2", "1"]], ["0", "2", "8"]
    with pytest.raises(DataError, match=r"'0' in row 0 .* may be the choice that says so, or the place of '2'"):
        right(["0", "2", "1"], texts)
    assert right(["0", "2", "1"], [*texts[:2], others]) == [0, 2, 1]  # no choice of row 2 says so: they are places
    assert right([0, 2, 1], texts) == [0, 2, 1]  # whole numbers are no texts


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([1, 2, 1], "from 0 or from 1"),
        ([0, 3, 1], "from 0 to 2, or from 1 to 3"),
        ([0, 4, 1], "4 in row 1 .* is none of the 3 choices"),
        ([0, -1, 1], "hidden"),
        ([-1, -1, -1], "hidden labels"),
        ([0, None, 1], "row 1 .* has none"),
        ([True, False, True], "True in row 0"),
        ([0.5, 1.0, 2.0], "0.5 in row 0"),
        (["A", "D", "B"], "'D' in row 1"),
        (["", "A", "B"], "row 0 .* has none"),
    ],
)
def test_labels_that_name_no_choice_or_could_be_two_are_refused(labels: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=rf"^dataset.label: .*{said}"):
        right(labels)


def test_a_label_beside_names_is_one_of_them() -> None:
    with pytest.raises(DataError, match=r"'0' in row 1 .* give one of A, B, C"):
        right(["A", "0", "B"], named([["A", "B", "C"]] * 3))


def test_splits_count_alike() -> None:
    task, config = MultipleChoice(), DatasetConfig(path="x", text=["context"], choices=["choices"])

    def places(name: str, labels: list[int]) -> list[int]:
        split = Dataset.from_dict({"context": CONTEXTS, "choices": TEXTS, "label": labels})
        return list(task.check(split, name, config, None)["right"])  # type: ignore[arg-type]

    assert places("train", [3, 1, 2]) == [2, 0, 1]
    assert places("test", [2, 1, 2]) == [1, 0, 1]  # which says nothing by itself
    with pytest.raises(DataError, match="'other' count choices from 0, and those of split 'train' from 1"):
        places("other", [0, 1, 2])


@pytest.mark.parametrize(
    ("columns", "settings", "said"),
    [
        ({"choices": [*TEXTS[:2], ["one", "two"]]}, {}, "choices: row 2 .* has 2 choices, and row 0 has 3"),
        ({"choices": [["one"], ["two"], ["three"]]}, {}, r"choices: row 0 .* holds \['one'\], and no list of two"),
        ({"choices": [*TEXTS[:2], None]}, {}, "choices: row 2 .* holds None"),
        ({"choices": [*TEXTS[:2], ["one", None, "two"]]}, {}, "choices: row 2"),
        ({"choices": [*map(json.dumps, TEXTS[:2]), "[1, 2"]}, {}, "choices: row 2"),
        ({"choices": [[1, 2], [3, 4], [5, 6]]}, {}, "choices: row 0"),
        (
            {"choices": named([["A", "B", "C"], ["1", "0", "0"], ["A", "B", "C"]])},
            {},
            "choices: row 1 .* a name of",
        ),
        ({"choices": named([["A", "B", "C"], ["A", "B"], ["A", "B", "C"]])}, {}, "choices: row 1 .* a name of its own"),
        (
            {"choices": list(map(json.dumps, [*named([list("ABC")] * 3)[:2], TEXTS[2]]))},
            {},
            "choices: of rows 0 and 2 ",
        ),
        ({"choices": TEXTS}, {"choices": ["endings"]}, "choices: column 'endings' is not in split 'train'"),
        ({"choices": TEXTS}, {"text": ["other"]}, "text: column 'other' is not in split 'train'"),
        ({"a": ["x", "y", None], "b": CONTEXTS}, {"choices": ["a", "b"]}, "choices: row 2 .* has no text"),
        ({"choices": TEXTS, "q": [1, 2, 3]}, {"text": ["context", "q"]}, "text: column 'q' .* holds int64, not text"),
        ({"choices": TEXTS, "q": CONTEXTS, "r": CONTEXTS}, {"text": ["context", "q", "r"]}, "text: .* does not fit"),
    ],
)
def test_columns_that_hold_something_else_are_refused(
    columns: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(MinidiscError, match=rf"^dataset.{said}"):
        checked({**columns, "label": [0, 1, 0]}, **settings)


def test_each_choice_is_a_pair_with_its_context(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    questions = ["word1", "", "word3"]
    examples = checked({"choices": TEXTS, "q": questions, "label": [0, 1, 2]}, text=["context", "q"])
    features = MultipleChoice().features(examples, tokenizer, 8)
    for row, (context, question, texts) in enumerate(zip(CONTEXTS, questions, TEXTS, strict=True)):
        for place, text in enumerate(texts):
            wanted = tokenizer(context, f"{question} {text}".strip(), truncation=True, max_length=8)
            assert {name: features[row][name][place] for name in wanted} == dict(wanted)
    batch = ChoiceCollator(tokenizer)(list(features))
    assert batch["input_ids"].shape == (3, 3, 8) and batch["labels"].tolist() == [0, 1, 2]
    assert batch["input_ids"][1, 0, len(features[1]["input_ids"][0]) :].eq(tokenizer.pad_token_id).all()
    wide = PaddedTo(ChoiceCollator(tokenizer), 12, tokenizer.pad_token_id)(list(features))
    assert wide["input_ids"].shape == wide["attention_mask"].shape == (3, 3, 12) and wide["labels"].shape == (3,)
    assert wide["input_ids"][..., :8].equal(batch["input_ids"]) and wide["input_ids"][..., 8:].eq(0).all()
    assert lengths(features, "input_ids").tolist() == [max(map(len, row["input_ids"])) for row in features]
    numbers = MultipleChoice().numbers(features, tokenizer)
    assert all(len({len(ids) for ids in row["input_ids"]}) == 1 for row in numbers)


def test_choices_that_are_cut_to_the_same_tokens_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ends = [["word1 word2 good", "word1 word2 bad"], ["fine", "nice"], ["fine", "fine"]]
    examples = checked({"choices": ends, "label": list("AAA")})
    same = "of 1 of 3 examples two choices become the same tokens"
    for max_length, said in ((9, ""), (6, same)):
        caplog.clear()
        assert MultipleChoice().features(examples, make_tokenizer(tmp_path), max_length).column_names[-1] == "labels"
        assert said in caplog.text and bool(said) is bool(caplog.text)
    with pytest.raises(DataError, match=r"of 2 of 2 examples .* raise max_length \(3\)"):
        MultipleChoice().features(examples.select([0, 1]), make_tokenizer(tmp_path), 3)


def test_choices_that_stand_twice_are_said(caplog: pytest.LogCaptureFixture) -> None:
    checked({"choices": [["fine", "fine"], ["fine", "nice"], ["", ""]], "label": list("AAB")})
    assert "in 2 of 3 rows of split 'train' two choices are the same text" in caplog.text


def test_batches_count_the_tokens_of_all_choices(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path)
    features = MultipleChoice().features(checked({"choices": TEXTS, "label": [0, 1, 2]}), tokenizer, 48)
    tokens, collate = example_lengths(features), ChoiceCollator(tokenizer)
    assert tokens == [collate([row])["input_ids"].numel() for row in features]
    for limit in (30, 50, 60):
        for places in GlobalBatches(tokens, 3, 0, tokens=limit).global_batches():
            assert len(places) == 1 or collate([features[place] for place in places])["input_ids"].numel() <= limit


def test_what_is_judged(tmp_path: Path) -> None:
    task = MultipleChoice()
    compute = task.compute_metrics(MetricConfig(name="accuracy"), None)  # type: ignore[arg-type]
    features = task.features(checked({"choices": TEXTS, "label": list("CCC")}), make_tokenizer(tmp_path), 48)
    perfect = task.perfect_predictions_of(features, None)  # type: ignore[arg-type]
    assert perfect is not None and compute(perfect) == {"accuracy": 1.0}
    assert task.sole_label(features, None) == "2 (from 0)"  # type: ignore[arg-type]
    counted = task.confusion(perfect, None)  # type: ignore[arg-type]
    assert counted is not None and counted.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 3]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("choices")
    return make_task_run(folder, "multiple-choice", "multiple-choice", "accuracy", epochs=20)


def config_of(made: dict[str, Any], folder: Path, **changes: Any) -> CompressionConfig:
    return validate(CompressionConfig, {**made, "output_dir": str(folder / "out"), **changes})


def test_the_student_chooses_as_transformers_own_class_does(made: dict[str, Any], tmp_path: Path) -> None:
    result = compress(config_of(made, tmp_path))
    row, out = result.results.row("student"), tmp_path / "out"
    assert row is not None and result.results.choices == 4
    model = AutoModelForMultipleChoice.from_pretrained(out / "student", trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(out / "student")
    hits = []
    for line in Path(made["dataset"]["data_files"]["test"]).read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        batch = tokenizer([asked["context"]] * 4, asked["choices"], padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**{name: value.unsqueeze(0) for name, value in batch.items()}).logits
        hits.append(int(logits.argmax()) == asked["label"])
    assert row.metric == pytest.approx(float(np.mean(hits)))
    assert row.metric > 0.6  # one in two for who reads no context
    assert "4 x " in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.quick_on("inc")
def test_a_stage_that_was_killed_goes_on_to_the_same_end(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {**made["training"], "max_steps": 6, "save_strategy": "steps", "save_steps": 2}
    config = config_of(made, tmp_path, training=training)
    killed_at(monkeypatch, DependableTraining, "training_step", config, time=9)
    compress(config, resume=True)
    compress(validate(CompressionConfig, {**config.model_dump(by_alias=True), "output_dir": str(tmp_path / "whole")}))
    assert not difference(outcome(tmp_path / "whole"), outcome(tmp_path / "out"))


@pytest.mark.parametrize("changes", [{"augment": 1}, {"guide": "both"}, {"objective": "knowledge_distillation"}])
def test_ways_to_distil(made: dict[str, Any], tmp_path: Path, changes: dict[str, Any]) -> None:
    training = {**made["training"], "max_steps": 2}
    result = compress(config_of(made, tmp_path, distillation=changes, training=training))
    student = result.results.row("student")
    assert student is not None and student.metric is not None


@pytest.mark.parametrize("engine", [{"padding": "max_length"}, {"tokens_per_batch": 600}])
def test_batches_of_other_shapes(made: dict[str, Any], tmp_path: Path, engine: dict[str, Any]) -> None:
    training = {**made["training"], "max_steps": 2}
    student = compress(config_of(made, tmp_path, engine=engine, training=training)).results.row("student")
    assert student is not None and student.metric is not None


def test_texts_without_labels(made: dict[str, Any], tmp_path: Path) -> None:
    files, further = made["dataset"]["data_files"], tmp_path / "further.jsonl"
    rows = Path(files["train"]).read_text(encoding="utf-8").splitlines()[:20]
    kept = [{name: value for name, value in json.loads(row).items() if name != "label"} for row in rows]
    further.write_text("\n".join(map(json.dumps, kept)), encoding="utf-8")
    dataset = {**made["dataset"], "data_files": {**files, "unlabelled": str(further)}}
    result = compress(config_of(made, tmp_path, dataset=dataset, training={**made["training"], "max_steps": 2}))
    assert result.results.drawn_from["unlabelled"] == 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trainer": "inc"}, "trainer: "),
        ({"distillation": {"objective": "ad_kd"}}, "distillation.objective: 'ad_kd' is for task text-classification"),
        (
            {"engine": {"teacher_cache": True}},
            "engine.teacher_cache: true: outputs of examples with choices are not kept",
        ),
        ({"task": "text-classification"}, "task: "),
        ({"metric": "pearsonr"}, "metric pearsonr compares classes or numbers"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    made: dict[str, Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(MinidiscError, match=said):
        prepare(config_of(made, tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_choices_are_for_multiple_choice_alone(made: dict[str, Any], tmp_path: Path) -> None:
    dataset = {**made["dataset"], "choices": "endings"}
    with pytest.raises(MinidiscError, match=r"dataset.choices: \['endings'\] is for task multiple-choice"):
        config_of(made, tmp_path, task="text-generation", dataset=dataset)
    with pytest.raises(MinidiscError, match=r"dataset.choices: 'context' is a column of dataset.text, too"):
        config_of(made, tmp_path, dataset={**dataset, "choices": ["context", "endings"]})
    assert config_of(made, tmp_path, dataset=dataset).dataset.choices == ["endings"]
    assert config_of(made, tmp_path).dataset.choices == ["choices"]


def test_a_split_whose_answers_stand_in_one_place_is_told(
    made: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [json.loads(line) for line in Path(made["dataset"]["data_files"]["test"]).read_text().splitlines()]
    alone = [json.dumps(row) for row in rows if row["label"] == 0]
    (tmp_path / "test.jsonl").write_text("\n".join(alone), encoding="utf-8")
    files = {**made["dataset"]["data_files"], "test": str(tmp_path / "test.jsonl")}
    with caplog.at_level(logging.WARNING):
        prepare(config_of(made, tmp_path, dataset={**made["dataset"], "data_files": files}), tmp_path / "out")
    assert f"all {len(alone)} labels of the reported split 'test' are 0 (from 0)" in caplog.text


@pytest.mark.parametrize(
    ("formats", "schemes"),
    [
        pytest.param(["openvino"], ["openvino_int8"], marks=pytest.mark.quick_on("latest")),
        pytest.param(["onnx"], ["onnx_dynamic"], marks=pytest.mark.quick_on("inc")),
        pytest.param(["openvino", "onnx"], SCHEMES, marks=pytest.mark.slow),
    ],
    ids=["openvino", "onnx", "all"],
)
def test_exports_choose_as_the_student_does(
    made: dict[str, Any], tmp_path: Path, formats: list[str], schemes: list[str]
) -> None:
    changes = {
        "steps": ["export", "quantization"],
        "export": {"formats": formats},
        "quantization": {"schemes": schemes},
    }
    results = compress(config_of(made, tmp_path, **changes)).results
    metrics = {row.runtime: row.metric for row in results.rows if row.role == "student"}
    student = results.row("student")
    assert student is not None and student.metric is not None and len(metrics) == 1 + len(formats) + len(schemes)
    for runtime, metric in metrics.items():
        assert metric is not None and abs(metric - student.metric) <= (0 if "fp32" in runtime else 0.1), runtime
