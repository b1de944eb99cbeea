"""Parameters of the pass are keys of our config: nothing is said twice, and nothing unknown gets through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from olive.hardware import DEFAULT_CPU_ACCELERATOR
from pydantic import BaseModel

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.olive.compression import MiniDisc, PassError
from minidisc_plugin.olive.parameters import CONFIG_FILE, DATA_DIGEST, NOT_HERE, config_of, schema
from tests.builders.tiny import make_config
from tests.repository.test_docs import ROOT, blocks

FIELDS = CompressionConfig.model_fields


def workflow(files: Path, **changes: Any) -> dict[str, Any]:
    """Parameters of a pass on the files of the tiny model."""
    data = make_config(files, **changes)
    return {key: value for key, value in data.items() if key not in ("model", "output_dir")}


def accepted(parameters: dict[str, Any]) -> dict[str, Any]:
    """What Olive hands to the pass; through its JSON, as its cache does."""
    config = MiniDisc.generate_config(DEFAULT_CPU_ACCELERATOR, parameters, {}, disable_search=True)
    values: dict[str, Any] = json.loads(json.dumps(config.to_json()))
    return values


def run_config(parameters: dict[str, Any]) -> CompressionConfig:
    return config_of(accepted(parameters), model="teacher", task="text-classification", output_dir="out")


def test_each_parameter_has_our_description_type_and_default() -> None:
    parameters = MiniDisc.default_config(DEFAULT_CPU_ACCELERATOR)
    assert parameters.keys() == {CONFIG_FILE, DATA_DIGEST, *FIELDS} - NOT_HERE.keys()
    assert all(parameter.description for parameter in parameters.values())
    for name in parameters.keys() - {CONFIG_FILE, DATA_DIGEST}:
        field, parameter = FIELDS[name], parameters[name]
        assert parameter.description == field.description
        assert parameter.required == field.is_required()
        is_section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        assert parameter.type_ == (dict[str, Any] if is_section else field.annotation)
        if name != "scheduler" and not is_section:
            assert parameter.default_value == field.get_default(call_default_factory=True)
    assert parameters["scheduler"].default_value == "minidisc"
    assert NOT_HERE.keys() <= FIELDS.keys()


def test_the_content_of_data_files_is_a_parameter(run_files: Path, tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_bytes((run_files / "train.csv").read_bytes())
    given = workflow(run_files)
    given["dataset"] = {**given["dataset"], "data_files": {**given["dataset"]["data_files"], "train": str(train)}}
    before = accepted(given)
    assert accepted({**given, DATA_DIGEST: "of another time"}) == before
    with train.open("a", encoding="utf-8") as file:
        file.write("good word1,1\n")
    assert accepted(given)[DATA_DIGEST] != before[DATA_DIGEST]
    assert {**accepted(given), DATA_DIGEST: ""} == {**before, DATA_DIGEST: ""}


@pytest.mark.parametrize("form", ["pattern", "folder", "files below a path", "pattern below a path"])
@pytest.mark.parametrize("name", ["data", "da[t]a"])
def test_data_that_is_named_by_a_pattern_or_a_folder_counts_too(
    name: str, form: str, run_files: Path, tmp_path: Path
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "train-1.csv").write_bytes((run_files / "train.csv").read_bytes())
    given = workflow(run_files)
    columns = {key: given["dataset"][key] for key in ("text", "label")}
    place = {
        "pattern": {"path": "csv", "data_files": {"train": str(folder / "train-*.csv")}},
        "folder": {"path": "csv", "data_dir": str(folder)},
        "files below a path": {"path": str(folder), "data_files": {"train": ["train-1.csv", "train-2.csv"]}},
        "pattern below a path": {"path": str(folder), "data_files": {"train": "train-*.csv"}},
    }
    given["dataset"] = {**place[form], **columns}
    before = accepted(given)[DATA_DIGEST]
    (folder / "train-2.csv").write_bytes((run_files / "test.csv").read_bytes())
    assert accepted(given)[DATA_DIGEST] not in (before, None)


def test_what_olive_hands_on_is_the_config_that_minidisc_run_would_read(run_files: Path) -> None:
    data = make_config(run_files, early_stopping_patience=2, engine={"padding": "longest"}, max_length=32)
    expected = CompressionConfig.model_validate({**data, "model": "teacher", "output_dir": "out"})
    given = {key: value for key, value in data.items() if key not in ("model", "output_dir")}
    assert run_config(given) == expected
    assert run_config(given).model_fields_set - {"task"} <= expected.model_fields_set


def test_the_scheduler_is_minidisc_unless_told_otherwise(run_files: Path) -> None:
    data = workflow(run_files)
    del data["scheduler"]
    assert run_config(data).scheduler == "minidisc"
    assert run_config({**data, "scheduler": "direct", "scheduler_config": {}}).scheduler == "direct"


def test_a_file_gives_what_the_pass_does_not(run_files: Path, tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(yaml.safe_dump(make_config(run_files, max_length=48)), encoding="utf-8")
    config = run_config({CONFIG_FILE: str(file), "pruning": {"target_sparsity": 0.7}})
    assert (config.max_length, config.pruning.target_sparsity, config.model) == (48, 0.7, "teacher")

    before = accepted({CONFIG_FILE: str(file)})
    file.write_text(yaml.safe_dump(make_config(run_files, max_length=40)), encoding="utf-8")
    assert before != accepted({CONFIG_FILE: str(file)}), "Olive's cache would give the student of the file before"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prunning": {}}, "prunning: unknown key; did you mean 'pruning'?"),
        ({"pruning": {"target_sparsity": 1.5}}, "pruning.target_sparsity: 1.5 cannot be used"),
        ({"pruning": {"target_sparsity": [0.5, 0.9]}}, "pruning.target_sparsity: [0.5, 0.9] are several students"),
        ({"pruning": None}, "pruning: missing; add it"),
        ({"dataset": {"path": "csv", "text": ["a"], "labels": "b"}}, "dataset.labels: unknown key"),
        ({"max_length": "64"}, "max_length: '64' cannot be used"),
        ({"model": "teacher"}, "model: not a parameter of this pass, for it is Olive's input_model"),
        ({"output_dir": "out"}, "output_dir: not a parameter of this pass"),
        ({"steps": ["export"]}, "steps: not a parameter of this pass"),
        ({CONFIG_FILE: "nowhere.yaml"}, "nowhere.yaml: No such file or directory"),
        ({CONFIG_FILE: 3}, "config_file: 3 cannot be used"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_used_is_refused_in_a_line(changes: dict[str, Any], said: str, run_files: Path) -> None:
    with pytest.raises(PassError) as refused:
        accepted({**workflow(run_files), **changes})
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_steps_of_a_file_are_refused(run_files: Path, tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(yaml.safe_dump(make_config(run_files, steps=["export"])), encoding="utf-8")
    with pytest.raises(PassError, match="steps: further steps are passes of Olive"):
        accepted({CONFIG_FILE: str(file)})


@pytest.mark.parametrize("file", ["docs/hosts.md", "examples/olive/workflow.json"])
def test_the_workflow_that_is_shown_is_one(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    workflow = json.loads(blocks(text, "json")[0] if file.endswith(".md") else text)
    shown = {key: value for key, value in workflow["passes"]["student"].items() if key != "type"}
    assert run_config(shown).pruning.target_sparsity == 0.9
    assert [given["type"] for given in workflow["passes"].values()] == [
        "MiniDisc",
        "OnnxConversion",
        "OnnxDynamicQuantization",
    ]


def test_the_schema_is_made_anew_each_time() -> None:
    schema()["training"].default_value["num_train_epochs"] = 7
    assert schema()["training"].default_value == {}
