"""The split of further texts: read as others are, without a label, and never one that judges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.dataset import DatasetConfig
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.foundation.errors import ConfigError, DataError, MinidiscError
from minidisc_plugin.run.data.shared_files import warn_of_shared_files
from minidisc_plugin.run.data.splits import Chosen, choose_splits
from minidisc_plugin.run.data.unlabelled import read_splits
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config, make_rows, write_csv

LABELLED = "text,label\na b,1\nc,0\n"


def section(folder: Path, path: str, unlabelled: Any, labelled: str = LABELLED, **keys: Any) -> DatasetConfig:
    (folder / "train").write_text(labelled)
    files = {"train": str(folder / "train"), "test": str(folder / "train"), "unlabelled": unlabelled}
    return DatasetConfig.model_validate({"path": path, "data_files": files, "text": ["text"], **keys})


@pytest.mark.parametrize("form", ["one", "list", "pattern"])
@pytest.mark.parametrize("content", ["text\nd\ne f\n", "id,text\n1,d\n2,e f\n", "text,label\nd,what\ne f,\n"])
def test_files_need_no_label_and_may_have_any(form: str, content: str, tmp_path: Path) -> None:
    for name in ("more-1.csv", "more-2.csv"):
        (tmp_path / name).write_text(content)
    given = {
        "one": str(tmp_path / "more-1.csv"),
        "list": [str(tmp_path / "more-1.csv"), str(tmp_path / "more-2.csv")],
        "pattern": str(tmp_path / "more-*.csv"),
    }
    found, files = read_splits(section(tmp_path, "csv", given[form]))
    assert list(found["unlabelled"]["text"]) == ["d", "e f"] * (1 if form == "one" else 2)
    assert list(found["train"]["label"]) == ["1", "0"]
    assert len(files["unlabelled"]) == (1 if form == "one" else 2)


def test_json_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "more.jsonl").write_text('{"text": "d"}\n{"text": "e", "label": [3]}\n')
    rows = "".join(json.dumps({"text": text, "label": 1}) + "\n" for text in "ab")
    found, _ = read_splits(section(tmp_path, "json", str(tmp_path / "more.jsonl"), rows))
    assert list(found["unlabelled"]["text"]) == ["d", "e"] and list(found["train"]["label"]) == [1, 1]
    named = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"text": ["a"], "label": [1]}, features=named).to_parquet(tmp_path / "train.parquet")
    Dataset.from_dict({"text": ["d"]}).to_parquet(tmp_path / "more.parquet")
    files = {"train": str(tmp_path / "train.parquet"), "unlabelled": str(tmp_path / "more.parquet")}
    settings = DatasetConfig.model_validate({"path": "parquet", "data_files": files, "text": ["text"]})
    found, _ = read_splits(settings)
    assert found["train"].features["label"].names == ["no", "yes"] and list(found["unlabelled"]["text"]) == ["d"]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("text\n", ("more.csv has no rows",)),
        ("", ("more.csv is empty",)),
        ('text\n"d\n', ("line", "more.csv", "quotes")),
        ("id,text\n1\n", ("line 2 of", "more.csv", "1 field")),
    ],
)
def test_files_are_refused_as_others_are(content: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        read_splits(section(tmp_path, "csv", str(tmp_path / "more.csv")))
    assert all(part in str(caught.value) for part in parts) and "\n" not in str(caught.value)


def test_a_name_that_matches_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"more-\*\.csv"):
        read_splits(section(tmp_path, "csv", str(tmp_path / "more-*.csv")))


@pytest.mark.parametrize(
    ("names", "keys", "expected"),
    [
        (["train", "test"], {}, None),
        (["train", "test", "unlabelled"], {}, "unlabelled"),
        (["train", "test", "unsupervised"], {"unlabelled_split": "unsupervised"}, "unsupervised"),
        (["unlabelled", "test"], {"train_split": "unlabelled"}, None),
        (["train", "unlabelled"], {"test_split": "unlabelled"}, None),
    ],
)
def test_which_split_it_is(names: list[str], keys: dict[str, str], expected: str | None) -> None:
    settings = DatasetConfig.model_validate({"path": "csv", "text": ["text"], **keys})
    assert choose_splits(settings, names, None).unlabelled == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("test", "'test' is the split that is reported"),
        ("validation", "'validation' is the split that is used to stop by"),
        ("train", "'train' is the split that is trained on with its labels"),
        ("more", "'more' is not a split; splits: train, validation, test"),
    ],
)
def test_what_judges_is_not_trained_on(given: str, message: str) -> None:
    settings = DatasetConfig.model_validate({"path": "csv", "text": ["text"], "unlabelled_split": given})
    with pytest.raises(DataError, match=f"^dataset.unlabelled_split: {message}"):
        choose_splits(settings, ["train", "validation", "test"], None)


@pytest.mark.parametrize(
    ("other", "consequence"), [("train", "to choose the assistant by"), ("dev", "better"), ("test", "better")]
)
def test_a_file_that_another_split_has_is_said(
    other: str, consequence: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "first.csv").write_text(LABELLED)
    shutil.copy(tmp_path / "first.csv", tmp_path / "copy.csv")
    files = {other: [str(tmp_path / "first.csv")], "more": [str(tmp_path / "copy.csv")]}
    warn_of_shared_files(Chosen("train", "dev", "test", "more"), files)
    (message,) = caplog.messages
    assert all(part in message for part in ("first.csv", "copy.csv", f"{other!r}", "'more'", consequence))


def prepared(files: Path, folder: Path, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Prepared:
    data = make_config(files, max_length=32, trainer="transformers", **changes)
    if rows is not None:
        write_csv(folder / "more.csv", rows)
        data["dataset"]["data_files"]["unlabelled"] = str(folder / "more.csv")
    return prepare(CompressionConfig.model_validate(data), folder / "checkpoints")


def test_labelled_splits_are_what_they_would_be_alone(run_files: Path, tmp_path: Path) -> None:
    rows = [{"sentence": row["sentence"]} for row in make_rows(70, 9)]
    alone = prepared(run_files, tmp_path)
    both = prepared(run_files, tmp_path, rows, distillation={"augment": 2})
    for name in ("train", "selection", "validation", "report"):
        mine, theirs = getattr(alone.splits, name), getattr(both.splits, name)
        assert mine.to_list() == theirs.to_list()
    assert (
        alone.splits.rows == {} and alone.splits.pool.examples is alone.splits.train and alone.splits.pool.drawn is None
    )
    assert both.splits.rows == {"labelled": 216, "unlabelled": 70, "altered": 432}
    assert len(both.splits.pool.examples) == 718 and both.splits.pool.drawn == 216
    assert both.splits.pool.examples.features == alone.splits.train.features
    told = dict(both.inputs)
    assert told.pop("dataset (unlabelled split)") and told.pop("dataset (altered copies)")
    assert told == dict(alone.inputs)


def refused(files: Path, folder: Path, error: type[MinidiscError], **changes: Any) -> str:
    with pytest.raises(error) as caught:
        prepared(files, folder, **changes)
    assert "\n" not in str(caught.value) and not (folder / "checkpoints").exists()
    return str(caught.value)


def test_what_cannot_be_drawn_from_is_refused(run_files: Path, tmp_path: Path) -> None:
    rows = [{"sentence": row["sentence"]} for row in make_rows(9, 9)]
    message = refused(run_files, tmp_path, DataError, rows=[{"text": "a"}])
    assert message.startswith("dataset.text: column 'sentence' is not in split 'unlabelled'; columns: text")
    message = refused(run_files, tmp_path, ConfigError, rows=rows, engine={"tokens_per_batch": 99})
    assert message.startswith("dataset.unlabelled_split: unlabelled") and "engine.tokens_per_batch" in message
    message = refused(
        run_files, tmp_path, ConfigError, distillation={"augment": 1, "objective": "knowledge_distillation"}
    )
    assert message.startswith("distillation.augment: 1") and "distillation.loss_weights: [0.0, 1.0]" in message


def test_an_objective_that_reads_no_labels_is_taken(run_files: Path, tmp_path: Path) -> None:
    of_teacher = {"augment": 1, "objective": "knowledge_distillation", "loss_weights": [0.0, 1.0]}
    assert prepared(run_files, tmp_path, distillation=of_teacher).splits.pool.drawn == 216
