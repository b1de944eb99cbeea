"""Further texts in every task: placeholders that nothing reads, masks that are right, or one line that refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, concatenate_datasets

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.task import IGNORED
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.objectives import MiniDiscObjective
from minidisc_plugin.run.data.altering import altered_copies
from minidisc_plugin.tasks.multi_label import MultiLabelClassification
from minidisc_plugin.tasks.registry import TASKS
from tests.builders.tiny import make_bert, make_tokenizer
from tests.tasks.making import COLUMNS, make_model, make_rows, make_task_run

LONG = 48
KINDS = {
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "text-generation": "gpt2",
    "text2text-generation": "t5",
}
WITHOUT_LABELS = [name for name in KINDS if name != "text2text-generation"]


def columns_of(task: str) -> DatasetConfig:
    return DatasetConfig.model_validate({"path": "json", **COLUMNS[task]})


def bare(task: str, split: Dataset) -> Dataset:
    """The text columns alone."""
    return split.select_columns(columns_of(task).text)


@pytest.mark.parametrize("task", WITHOUT_LABELS)
def test_features_are_those_of_labelled_examples_but_for_labels(task: str, tmp_path: Path) -> None:
    tokenizer, made, config = make_tokenizer(tmp_path), TASKS[task](), make_model(KINDS[task]).config
    split = Dataset.from_list(make_rows(task, 30, 1))
    labelled = made.features(made.check(split, "train", columns_of(task), config), tokenizer, LONG)
    found = made.features(made.unlabelled(bare(task, split), "more", columns_of(task), config), tokenizer, LONG)
    assert found.features == labelled.features
    assert found["input_ids"][:] == labelled["input_ids"][:]
    assert len(concatenate_datasets([labelled, found])) == 60
    if task == "token-classification":  # the first piece of each word counts, and nothing else
        masks = [[[label == IGNORED for label in row] for row in part["labels"]] for part in (labelled, found)]
        assert masks[0] == masks[1]
        assert {label for row in found["labels"] for label in row} == {0, IGNORED}


@pytest.mark.parametrize("task", WITHOUT_LABELS)
def test_the_loss_of_unlabelled_examples_is_that_of_labelled_ones(task: str, tmp_path: Path) -> None:
    tokenizer, made, teacher = make_tokenizer(tmp_path), TASKS[task](), make_model(KINDS[task]).eval()
    student = make_model(KINDS[task]).eval()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    split = Dataset.from_list(make_rows(task, 9, 1))
    checked = (
        made.check(split, "train", columns_of(task), teacher.config),
        made.unlabelled(bare(task, split), "more", columns_of(task), teacher.config),
    )
    objective, losses = MiniDiscObjective(DistillationConfig(), regression=False), []
    collate = made.collator(tokenizer)
    assert collate is not None
    for examples in checked:
        batch = dict(collate(list(made.features(examples, tokenizer, LONG))))
        given = {**made.inputs(batch, teacher), **made.options, "output_hidden_states": True}
        given = {name: value for name, value in given.items() if name not in made.own_labels}
        losses.append(objective(*made.compared(student(**given), teacher(**given), batch)))
    assert losses[0] > 0 and torch.equal(*losses)


@pytest.mark.parametrize("labels", ["classes", "regression", "several"])
def test_placeholders_have_the_type_of_labels(labels: str) -> None:
    made = MultiLabelClassification() if labels == "several" else TASKS["text-classification"]()
    several = {"problem_type": "multi_label_classification"} if labels == "several" else {}
    config = make_bert(labels=1 if labels == "regression" else 3, **several).config
    split = Dataset.from_dict({"text": ["a", "b"], "label": {"several": [[0], [1, 2]]}.get(labels, [1, 2])})
    columns = DatasetConfig.model_validate({"path": "json", "text": "text"})
    expected = made.check(split, "train", columns, config)
    found = made.unlabelled(split.remove_columns("label"), "more", columns, config)
    assert found.features == expected.features and list(found["text 0"]) == ["a", "b"]
    assert not any(torch.tensor(label).any() for label in found[expected.column_names[-1]])


@pytest.mark.parametrize("task", KINDS)
def test_altered_copies_have_the_features_of_their_originals(task: str, tmp_path: Path) -> None:
    tokenizer, made, config = make_tokenizer(tmp_path), TASKS[task](), make_model(KINDS[task]).config
    checked = made.check(Dataset.from_list(make_rows(task, 30, 1)), "train", columns_of(task), config)
    altered = altered_copies(made, checked, 2, 0.3, seed=0)
    assert len(altered) == 60 and altered.features == checked.features
    features = made.features(altered, tokenizer, LONG)
    assert features.features == made.features(checked, tokenizer, LONG).features
    if task == "token-classification":
        assert [len(words) for words in altered["words"]] == [len(tags) for tags in altered["tags"]]
        assert {len(words) for words in altered["words"]} != {len(words) for words in checked["words"]}
        counted = [sum(label != IGNORED for label in row) for row in features["labels"]]
        assert counted == [len(words) for words in altered["words"]]  # words of one piece each
    if task == "question-answering":
        assert not any(features["start_positions"]) and not any(features["end_positions"])
        assert any(start >= 0 for row in features["char_starts"] for start in row)
    if task == "text-generation":
        assert features["labels"][:] == features["input_ids"][:]
    if task == "text2text-generation":
        assert list(altered["target"]) == list(checked["target"]) * 2
        assert list(altered["source"]) != list(checked["source"]) * 2


def test_a_task_whose_inputs_are_made_of_labels_is_refused() -> None:
    task = "text2text-generation"
    split = Dataset.from_list(make_rows(task, 3, 1))
    with pytest.raises(ConfigError, match=r"^dataset\.unlabelled_split: 'more' .* task text2text-generation .*leave"):
        TASKS[task]().unlabelled(split, "more", columns_of(task), make_model("t5").config)


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("token-classification", {"tokens": None}, "dataset.text: row 1 .from 0. of split 'more' needs a list"),
        ("question-answering", {"question": "who", "context": None}, "dataset.text: row 1 .* of column 'context'"),
        ("text-generation", {"text": None}, "dataset.text: row 1 .* of column 'text' of split 'more' has no text"),
    ],
)
def test_what_is_no_text_is_named(task: str, row: dict[str, Any], message: str) -> None:
    first = {"tokens": ["a"], "question": "who", "context": "he", "text": "b"}
    split = Dataset.from_list([{name: first[name] for name in row}, row])
    with pytest.raises(DataError, match=f"^{message}"):
        TASKS[task]().unlabelled(split, "more", columns_of(task), make_model(KINDS[task]).config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "metric", "chance"),
    [
        ("token-classification", "seqeval", 0.3),
        ("question-answering", "squad", 45.0),
        ("text-generation", "bits_saved", 0.7),
        ("text2text-generation", "bits_saved", 0.6),
    ],
)
def test_the_whole_pipeline(task: str, metric: str, chance: float, tmp_path: Path) -> None:
    data = make_task_run(tmp_path, task, KINDS[task], metric, 30 if task == "text2text-generation" else 12)
    data["distillation"] = {"augment": 1}
    if task in WITHOUT_LABELS:
        more = tmp_path / "more.jsonl"
        bare(task, Dataset.from_list(make_rows(task, 100, 7))).to_json(more)
        data["dataset"]["data_files"]["unlabelled"] = str(more)
    result = compress(CompressionConfig.model_validate(data))
    student = result.results.row("student")
    assert student is not None and student.metric is not None and student.metric > chance
    assert result.results.drawn_from["labelled"] <= result.results.drawn_from["altered"] + 5
    assert ("unlabelled" in result.results.drawn_from) == (task in WITHOUT_LABELS)
