"""Narrow models on disk: what the folder holds, and who can load it in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification, PreTrainedModel

import minidisc_plugin
from minidisc_plugin import NestedModel
from minidisc_plugin.foundation.errors import ConfigError
from tests.builders.tiny import make_batch, make_bert
from tests.nested.crafting import RANKINGS, logits, make_nested, make_ranked

BATCH = make_batch()


@pytest.fixture
def student() -> PreTrainedModel:
    return make_ranked().extract(0.3)


@pytest.fixture
def folder(student: PreTrainedModel, tmp_path: Path) -> Path:
    student.save_pretrained(tmp_path / "student")
    return tmp_path / "student"


def read_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("scale", [0.5, 0.1])
@pytest.mark.parametrize("name", RANKINGS)
def test_what_is_saved_is_loaded(name: str, scale: float, tmp_path: Path) -> None:
    nested = make_nested(RANKINGS[name])
    saved = nested.extract(scale)
    saved.save_pretrained(tmp_path)
    loaded = minidisc_plugin.load(tmp_path)
    assert type(loaded) is type(saved) and not loaded.training
    torch.testing.assert_close(logits(loaded, BATCH), logits(saved, BATCH), atol=0, rtol=0)
    heads, neurons = nested.sizes(scale)
    assert read_config(tmp_path)["layer_sizes"] == {"heads": heads, "neurons": neurons}
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        sizes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 - not a mapping
    assert sum(torch.Size(size).numel() for size in sizes.values()) == nested.parameter_counts(scale)[0]


def test_the_folder_holds_safetensors_sizes_and_code(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors", "modeling_narrow.py"}
    config = read_config(folder)
    assert config["architectures"] == ["NarrowBertForSequenceClassification"]
    assert config["auto_map"] == {
        "AutoModelForSequenceClassification": "modeling_narrow.NarrowBertForSequenceClassification"
    }
    assert config["model_type"] == "bert"
    code = (folder / "modeling_narrow.py").read_text(encoding="utf-8")
    assert "import minidisc_plugin" not in code and "from minidisc_plugin" not in code


@pytest.mark.parametrize("options", [{}, {"trust_remote_code": False}], ids=str)
def test_loading_without_the_code_fails_rather_than_giving_other_weights(folder: Path, options: Any) -> None:
    with pytest.raises(RuntimeError, match=r"mismatch"):
        AutoModelForSequenceClassification.from_pretrained(folder, **options)


def test_loading_a_plain_model(tmp_path: Path) -> None:
    teacher = make_bert(labels=3)
    teacher.save_pretrained(tmp_path)
    loaded = minidisc_plugin.load(str(tmp_path))
    assert type(loaded) is type(teacher)
    assert torch.equal(logits(loaded, BATCH), logits(teacher, BATCH))


def test_loading_passes_options_on(folder: Path) -> None:
    assert minidisc_plugin.load(folder, torch_dtype=torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no config.json"),
        ('{"model_type": ', "config.json: not valid JSON"),
        ('{"model_type": "bert"}', "has no architectures"),
        ('{"model_type": "bert", "architectures": null}', "has no architectures"),
        ('{"model_type": "bert", "architectures": ["Unheard"]}', "has no weights"),
    ],
)
def test_a_folder_without_a_checkpoint_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        minidisc_plugin.load(tmp_path)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        minidisc_plugin.load(tmp_path / "missing")


def test_load_runs_no_code_of_the_folder(folder: Path, student: PreTrainedModel, tmp_path: Path) -> None:
    trace = tmp_path / "code-was-run"
    poison = f"open({str(trace)!r}, 'w').close()\nraise RuntimeError('poison')\n"
    (folder / "modeling_narrow.py").write_text(poison, encoding="utf-8")
    (folder / "configuration_narrow.py").write_text(poison, encoding="utf-8")
    config = read_config(folder)
    config["auto_map"]["AutoConfig"] = "configuration_narrow.NarrowConfig"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = minidisc_plugin.load(folder)
    assert not trace.exists()
    assert torch.equal(logits(loaded, BATCH), logits(student, BATCH))
    with pytest.raises(RuntimeError, match="poison"):  # so the poison is one
        AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    assert trace.exists()


def test_its_code_leaves_models_of_full_size_alone(folder: Path) -> None:
    narrow = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    config = make_bert(labels=3).config
    assert type(narrow)(config).num_parameters() == make_bert(labels=3).num_parameters()


def test_a_loaded_student_trains_on_and_is_saved_again(folder: Path, tmp_path: Path) -> None:
    student = minidisc_plugin.load(folder).train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05)
    loss = student.eval()(**BATCH).loss
    loss.backward()
    optimizer.step()
    assert student(**BATCH).loss < loss
    changed = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    assert any("query.weight" in name for name in changed) and any("intermediate" in name for name in changed)
    student.save_pretrained(tmp_path / "again")
    again = minidisc_plugin.load(tmp_path / "again")
    assert torch.equal(logits(again, BATCH), logits(student, BATCH))


def test_a_loaded_assistant_is_sliced_further(folder: Path) -> None:
    assistant = minidisc_plugin.load(folder)
    nested = NestedModel(assistant)
    nested.rank([BATCH])
    nested.set_scale(0.5)
    torch.testing.assert_close(logits(nested.extract(0.5), BATCH), logits(nested, BATCH), atol=1e-5, rtol=0)


def test_weights_of_other_sizes_are_refused(folder: Path, tmp_path: Path) -> None:
    larger = tmp_path / "larger"
    make_ranked().extract(0.5).save_pretrained(larger)
    shutil.copy(larger / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ConfigError, match=r"dense\.weight is 32 x 16, and by config.json it is 32 x 8 \(layer_sizes\)"):
        minidisc_plugin.load(folder)


DAMAGED = {
    "none": (None, "by config.json it is"),
    "too few layers": (
        {"heads": [1], "neurons": [9, 9]},
        "layer_sizes.heads in config.json must list a number for each",
    ),
    "too many layers": ({"heads": [1, 1], "neurons": [9] * 3}, "for each of 2 layers, and is 3 of them"),
    "words": ({"heads": ["1", 1], "neurons": [9, 9]}, "has '1' for layer 0"),
    "negative": ({"heads": [1, 1], "neurons": [9, -9]}, "has -9 for layer 1 .* from 0 to 64 is needed"),
    "more than there are": ({"heads": [1, 5], "neurons": [9, 9]}, "has 5 for layer 1 .* from 0 to 4 is needed"),
    "a share": ({"heads": [1, 0.5], "neurons": [9, 9]}, "has 0.5 for layer 1"),
    "one number": ({"heads": 2, "neurons": [9, 9]}, "layer_sizes.heads .* and is 2;"),
    "no neurons": ({"heads": [1, 1]}, "layer_sizes.neurons .* and is None;"),
    "a list": ([1, 1], "layer_sizes.heads .* and is None;"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_layer_sizes_are_refused(case: str, folder: Path) -> None:
    sizes, message = DAMAGED[case]
    data = read_config(folder)
    data["layer_sizes"] = sizes
    (folder / "config.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        minidisc_plugin.load(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_a_class_that_transformers_does_not_have_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({**read_config(folder), "architectures": ["Unheard"]}))
    with pytest.raises(ConfigError, match="'Unheard' is not a class of transformers; give a model of a class that is"):
        minidisc_plugin.load(folder)


def test_damaged_code_beside_the_weights_is_not_needed(folder: Path, student: PreTrainedModel) -> None:
    (folder / "modeling_narrow.py").write_text("def (", encoding="utf-8")
    assert torch.equal(logits(minidisc_plugin.load(folder), BATCH), logits(student, BATCH))
