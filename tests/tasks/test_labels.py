"""Labels by name: in any order, whatever classes are called; what could be two things is refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.tasks.labels import declared_names, label_ids
from minidisc_plugin.tasks.registry import TASKS

WHERE = "column 'label' of split 'train'"
STARS = ["1 star", "2 stars", "3 stars"]
NLI = ["contradiction", "neutral", "entailment"]


def model(*names: str, **settings: Any) -> BertConfig:
    """A config whose classes have these names, by index."""
    by_index = dict(enumerate(names))
    config = BertConfig(**{"id2label": by_index, "label2id": {name: i for i, name in by_index.items()}, **settings})
    assert config.num_labels == len(names)
    return config


def nameless(count: int, **settings: Any) -> BertConfig:
    return BertConfig(num_labels=count, **settings)


def refusal(labels: list[Any], config: BertConfig, names: list[str] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        label_ids(labels, config, WHERE, names)
    message = str(caught.value)
    assert message.startswith("dataset.label: ") and "\n" not in message and WHERE in message
    return message


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (["negative", "positive"], ["positive", "negative"], [1, 0]),
        (["negative", "positive"], [0, 1, 1], [0, 1, 1]),
        (["negative", "positive"], ["0", "1"], [0, 1]),  # a CSV has no integers
        (["negative", "positive"], [0.0, 1.0], [0, 1]),
        (["negative", "positive"], ["1.0"], [1]),
        (["NEGATIVE", "POSITIVE"], ["positive", " Negative "], [1, 0]),
        (["a", "A"], ["A", "a"], [1, 0]),  # case matters where it tells classes apart
        (["1", "2", "3"], [1, 2, 3], [0, 1, 2]),
        (["1", "2", "3"], ["1", "3"], [0, 2]),
        (["1", "2", "3"], [1.0, 3.0], [0, 2]),
        (["3", "1", "2"], [1, 2, 3], [1, 2, 0]),
        (["1", "0"], [0, 1], [1, 0]),
        (["01", "02"], [1, 2], [0, 1]),
        (["0.5", "1.0"], [0.5, 1], [0, 1]),
        (["0", "1", "unknown"], [0, "unknown", 1], [0, 2, 1]),
        (["False", "True"], [True, False], [1, 0]),
        (["True", "False"], [True, False], [0, 1]),
        (["False", "True"], ["true", "FALSE"], [1, 0]),
        (["False", "True"], [0, 1], [0, 1]),
        (["no", "yes"], ["yes", "no"], [1, 0]),
        (["None", "nan", "null"], ["nan", "None", "null"], [1, 0, 2]),
        (["LABEL_0", "LABEL_1"], ["LABEL_1", 0], [1, 0]),
        (["LABEL_1", "LABEL_0"], ["LABEL_1", "LABEL_0"], [0, 1]),
        (STARS, [0, 1, 2], [0, 1, 2]),  # 0 is no star
        (["class 0", "class 1"], [1, 0], [1, 0]),
        (["-1", "0", "1"], [-1, 0, 1], [0, 1, 2]),
        (["100%", "50%"], [0], [0]),
    ],
)
def test_a_label_is_the_class_of_its_name(names: list[str], labels: list[Any], expected: list[int]) -> None:
    assert label_ids(labels, model(*names), WHERE) == expected


@pytest.mark.parametrize(
    ("names", "labels", "parts"),
    [
        (["negative", "positive"], [0, 2], ["2 in row 1", "has 2: negative, positive", "indices from 0"]),
        (["negative", "positive"], ["2"], ["2 in row 0", "has 2: negative, positive"]),
        (["negative", "positive"], [1.5], ["1.5 in row 0"]),
        (["negative", "positive"], ["good"], ["'good' in row 0"]),
        (["negative", "positive"], [True], ["True in row 0", "has 2: negative, positive"]),
        (["no", "yes"], [1, True], ["True in row 1"]),
        (["negative", "positive"], [[0, 1]], ["[0, 1] in row 0"]),
        (["1", "2", "3"], [1, 0], ["0 in row 1", "has 3: 1, 2, 3; give these names"]),
        (["1", "2", "3"], ["0"], ["0 in row 0"]),
        (["a", "A"], [" A "], ["' A ' in row 0"]),
        (["x", "x"], ["x"], ["'x' in row 0", "has 2: x, x"]),
        (["True", "False"], [0, 1], ["0 in", "'False'", "'True'", "has 2: True, False"]),
        (["yes", "no"], ["1"], ["1 in", "'yes'", "'no'"]),
        (["LABEL_1", "LABEL_0"], [0, 1], ["0 in", "'LABEL_0'", "'LABEL_1'"]),
        (STARS, [1, 2], ["1 in", "'1 star'", "'2 stars'", "has 3: 1 star, 2 stars, 3 stars"]),
        (STARS, [1, 2, 3], ["3 in row 2", "has 3: 1 star, 2 stars, 3 stars"]),
        (["zebra", "ape", "mole"], ["cat"], ["has 3: zebra, ape, mole"]),
        (["caf\u00e9", "bar"], ["cafe\u0301"], ["'cafe\\u0301' in row 0", "class 'caf\\xe9'"]),
        (["very good", "bad"], ["very\u00a0good"], ["'very\\xa0good' in row 0", "class 'very good'"]),
        (["good", "bad"], ["bad", "good\u200b"], ["'good\\u200b' in row 1", "class 'good'"]),
        (["good", "bad"], ["\uff47ood"], ["'\\uff47ood'", "class 'good'", "other characters"]),
    ],
)
def test_what_is_no_class_or_may_be_two_is_refused(names: list[str], labels: list[Any], parts: list[str]) -> None:
    message = refusal(labels, model(*names))
    for part in parts:
        assert part in message


@given(st.permutations(["entailment", "neutral", "contradiction", "unsure"]), st.data())
def test_declared_names_are_read_in_any_order(mine: list[str], data: st.DataObject) -> None:
    theirs = data.draw(st.permutations(mine))
    labels = data.draw(st.lists(st.integers(0, len(theirs) - 1), min_size=1))
    found = label_ids(labels, model(*mine), WHERE, theirs)
    assert [mine[index] for index in found] == [theirs[label] for label in labels]


@pytest.mark.parametrize(
    ("config", "names", "labels", "expected"),
    [
        (model(*NLI), ["entailment", "neutral", "contradiction"], [0, 1, 2], [2, 1, 0]),
        (model("NEGATIVE", "POSITIVE"), ["positive", "negative"], [0, 1], [1, 0]),
        (model("1", "2", "3"), ["3", "2", "1"], [0, 2], [2, 0]),
        (model("1", "0"), ["0", "1"], [0, 1], [1, 0]),
        (model("negative", "positive"), ["0", "1"], [0, 1], [0, 1]),
        (model("negative", "positive"), ["positive", "negative", "unlabelled"], [0, 1], [1, 0]),
        (model("negative", "positive", "neutral"), ["positive", "negative"], [0, 1], [1, 0]),
        (nameless(2), ["negative", "positive"], [1, 0], [1, 0]),
        (nameless(2), ["LABEL_1", "LABEL_0"], [0, 1], [1, 0]),
        (nameless(2), ["0", "1"], [0, 1], [0, 1]),
    ],
)
def test_declared_names(config: BertConfig, names: list[str], labels: list[int], expected: list[int]) -> None:
    assert label_ids(labels, config, WHERE, names) == expected


@pytest.mark.parametrize(
    ("config", "names", "labels", "parts"),
    [
        (model("negative", "positive"), ["neg", "pos"], [0], ["class 'neg'", "neg, pos", "has 2: negative, positive"]),
        (model("negative", "positive"), ["1", "2"], [0], ["class '1'"]),
        (model("1", "2", "3"), ["0", "1", "2"], [0], ["class '0'", "has 3: 1, 2, 3"]),
        (model("negative", "positive"), ["positive", "negative", "unlabelled"], [2], ["class 'unlabelled'"]),
        (model("a", "b"), ["A", "a"], [0, 1], ["two of the classes"]),
        (nameless(3), ["negative", "positive"], [0], ["class 'negative'", "has 3: LABEL_0, LABEL_1, LABEL_2"]),
        (model("a", "b"), ["b", "a"], [5], ["holds 5", "declares 2"]),
        (model(*STARS), ["0", "1", "2"], [1], ["1 in", "'1 star'", "'2 stars'"]),
        (model("a b", "c"), ["a\u00a0b", "c"], [0], ["'a\\xa0b' among the classes", "class 'a b'"]),
    ],
)
def test_declared_names_that_do_not_fit(
    config: BertConfig, names: list[str], labels: list[int], parts: list[str]
) -> None:
    message = refusal(labels, config, names)
    for part in parts:
        assert part in message


def test_that_only_the_order_tells_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        label_ids([0, 1], nameless(2), WHERE, ["bad", "good"])
        label_ids([0, 1], model("bad", "good"), WHERE, ["good", "bad"])
        label_ids([0, 1], model("bad", "good"), WHERE, ["bad", "good"])
    first, second = caplog.messages
    assert "LABEL_0 = bad, LABEL_1 = good" in first and "another order" in second


@pytest.mark.parametrize("names", [None, ["negative", "positive"]])
@pytest.mark.parametrize(
    ("labels", "part"), [([-1, -1], "hidden labels (-1 in every row)"), ([0, -1], "row 1 (from 0)")]
)
def test_hidden_labels_are_no_labels(names: list[str] | None, labels: list[int], part: str) -> None:
    message = refusal(labels, model("negative", "positive"), names)
    assert part in message and "hidden" in message


def test_hidden_labels_of_text() -> None:
    assert "hidden" in refusal(["-1", "-1"], nameless(2))


@pytest.mark.parametrize("label", [None, float("nan"), ""])
def test_a_missing_label_names_its_row(label: Any) -> None:
    assert f"row 2 (from 0) of {WHERE} has none" in refusal(["a", "b", label], model("a", "b"))


def test_a_config_that_contradicts_itself_is_refused() -> None:
    swapped = model("a", "b", label2id={"a": 1, "b": 0})
    with pytest.raises(ConfigError, match="1 is 'a' in label2id and 'b' in id2label"):
        label_ids(["a"], swapped, WHERE)
    gap = BertConfig(id2label={0: "a", 2: "b"})
    with pytest.raises(ConfigError, match="indices 0, 2"):
        label_ids(["a"], gap, WHERE)


def test_label2id_may_be_missing_or_made_up_or_the_only_one_with_names() -> None:
    for label2id in ({"LABEL_0": 0, "LABEL_1": 1}, {"a": 0}, {}):
        assert label_ids(["b", "a"], model("a", "b", label2id=label2id), WHERE) == [1, 0]
    only = nameless(2)
    only.label2id = {"b": 1, "a": 0}
    assert label_ids(["b", "a"], only, WHERE) == [1, 0]


def test_numbers_of_a_regression() -> None:
    config = nameless(1)
    assert label_ids(["1.5", 2, "1e-1", "-3"], config, WHERE) == [1.5, 2.0, 0.1, -3.0]
    assert label_ids([0, 1], config, WHERE, ["5", "2.5"]) == [5.0, 2.5]  # by name as well
    for label in (True, "good", "nan", "1_0", float("inf")):
        assert "is not a number" in refusal([label], config)
    assert "'good' in" in refusal([0], config, ["good"])


def test_names_are_found_in_columns_and_in_lists() -> None:
    classes = ClassLabel(names=["b", "a"])
    assert declared_names(classes) == ["b", "a"] == declared_names(Sequence(classes)) == declared_names([classes])
    assert declared_names(Value("int64")) is None and declared_names(Sequence(Value("string"))) is None


COLUMNS = DatasetConfig(path="csv", text=["text"], label="label")


def test_texts_are_labelled_by_name() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    split = Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 0]}, features=features)
    found = TASKS["text-classification"]().check(split, "train", COLUMNS, model("negative", "positive"))
    assert found[found.column_names[-1]] == [1, 0, 1]


@pytest.mark.parametrize("order", list(itertools.permutations(["O", "B-X", "I-X"])))
def test_words_are_labelled_by_name(order: tuple[str, ...]) -> None:
    features = Features({"text": Sequence(Value("string")), "label": Sequence(ClassLabel(names=list(order)))})
    rows = {"text": [["a", "b"], ["c"]], "label": [[order.index("O"), order.index("B-X")], [order.index("I-X")]]}
    split = Dataset.from_dict(rows, features=features)
    found = TASKS["token-classification"]().check(split, "train", COLUMNS, model("O", "B-X", "I-X"))
    assert found["tags"] == [[0, 1], [2]]


def test_a_word_without_a_label_names_its_row() -> None:
    split = Dataset.from_dict({"text": [["a", "b"], ["c"]], "label": [["O", "O"], ["X"]]})
    with pytest.raises(DataError, match=r"'X' in row 1 \(from 0\)"):
        TASKS["token-classification"]().check(split, "train", COLUMNS, model("O", "B-X"))
    words = Dataset.from_dict({"text": [["a", None]], "label": [["O", "O"]]})
    with pytest.raises(DataError, match="row 0"):
        TASKS["token-classification"]().check(words, "train", COLUMNS, model("O", "B-X"))
