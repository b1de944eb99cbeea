"""Broken teachers and tokenizers: one line with cause and remedy, on every release of transformers, nothing written."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import minidisc_plugin
from minidisc_plugin.cli import main
from minidisc_plugin.foundation.errors import MinidiscError
from minidisc_plugin.foundation.model_files.sizes import check_sizes
from minidisc_plugin.tasks.tokenizer import load_tokenizer
from tests.builders.teachers import load_teacher, read_teacher
from tests.builders.tiny import make_batch, make_config
from tests.tasks.breaking import MODELS, TOKENIZERS, WORKING
from tests.tasks.breaks import CONFIG, config

BATCH = make_batch(labels=2)


@pytest.fixture
def teacher(run_files: Path, tmp_path: Path) -> Path:
    """A copy of the teacher, to be broken."""
    return Path(shutil.copytree(run_files / "teacher", tmp_path / "teacher"))


def refused(load: Any, *parts: str) -> str:
    """The one line with which something is refused; it holds all parts."""
    with pytest.raises(MinidiscError) as caught:
        load()
    line = str(caught.value)
    assert "\n" not in line and "\x1b" not in line
    for part in parts:
        assert part in line, line
    return line


@pytest.mark.parametrize("case", MODELS)
def test_a_broken_model_is_refused(case: str, teacher: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, parts = MODELS[case]
    change(teacher)
    capfd.readouterr()
    before = {path: path.lstat().st_mtime_ns for path in teacher.rglob("*")}
    refused(lambda: load_teacher(str(teacher), False), f"{str(teacher)!r}", *parts)
    assert "".join(capfd.readouterr()) == ""
    assert before == {path: path.lstat().st_mtime_ns for path in teacher.rglob("*")}
    refused(lambda: minidisc_plugin.load(teacher), str(teacher))


@pytest.mark.parametrize("case", TOKENIZERS)
def test_a_broken_tokenizer_is_refused(case: str, teacher: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, parts = TOKENIZERS[case]
    model = load_teacher(str(teacher), False)
    change(teacher)
    capfd.readouterr()
    refused(lambda: load_tokenizer(str(teacher), model, False), f"tokenizer: {str(teacher)!r}", *parts)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("case", WORKING)
def test_what_looks_odd_and_works(case: str, teacher: Path, run_files: Path) -> None:
    WORKING[case](teacher)
    for found in (load_teacher(f"{teacher}/", False).float(), minidisc_plugin.load(teacher, dtype=torch.float32)):
        tokenizer = load_tokenizer(str(teacher), found, False)
        with torch.no_grad():
            output = found(**BATCH)
            expected = load_teacher(str(run_files / "teacher"), False)(**BATCH)
        assert list(output.keys()) == ["loss", "logits"] and torch.equal(output["logits"], expected["logits"])
        assert tokenizer("good")["input_ids"] and found.config.pad_token_id == tokenizer.pad_token_id


SIZES = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "intermediate_size",
    "n_layer",
    "num_labels",
]
VALUES = [0, -1, 2.5, "12", True, [], {}, None, float("inf"), 10**9, 10**30]


@pytest.mark.parametrize("key", SIZES)
def test_sizes_that_no_model_has_are_refused(key: str) -> None:
    for value in VALUES:
        line = refused(
            lambda v=value: check_sizes({key: v}, "model: 'x'", numbers=21058, tensors=41), f"{key} in config"
        )
        assert repr(value) in line and "correct it" in line
    check_sizes({key: 12}, "model: 'x'", numbers=21058, tensors=41)


@pytest.mark.parametrize(
    "key", ["hidden_size", "vocab_size", "num_hidden_layers", "num_labels", "max_position_embeddings"]
)
def test_absurd_sizes_take_no_memory(key: str, teacher: Path) -> None:
    data = json.loads((teacher / CONFIG).read_text())
    (teacher / CONFIG).write_text(json.dumps({**data, key: 10**12}))
    refused(lambda: load_teacher(str(teacher), False), f"{key} in config.json is 1000000000000", "correct it")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("./no-such-folder", ("there is no such folder",)),
        ("no/such/folder", ("there is no such folder",)),
        ("/no/such/folder/", ("there is no such folder",)),
        ("a name", ("there is no such folder",)),
        ("x" * 5000, ("there is no such folder",)),
        ("nobody/no-such-model", ("there is no such folder, and on the Hub", "can be reached")),
    ],
)
def test_what_is_not_there_is_refused(name: str, parts: tuple[str, ...], run_files: Path) -> None:
    model = load_teacher(str(run_files / "teacher"), False)
    for load in (lambda: load_teacher(name, False), lambda: load_tokenizer(name, model, False)):
        refused(load, *parts)


def test_a_file_is_no_folder(teacher: Path) -> None:
    for file in ("config.json", "model.safetensors"):
        refused(lambda f=file: load_teacher(str(teacher / f), False), "is a file; give the folder that holds it")
        refused(lambda f=file: minidisc_plugin.load(teacher / f), "is a file; give the folder that holds it")


CASES = ["weights cut", "weights are a pointer", "names of three classes", "adapter beside a model"]


@pytest.mark.parametrize("case", CASES)
def test_the_command_line_says_one_line_and_writes_nothing(
    case: str,
    teacher: Path,
    run_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    change, parts = MODELS[case]
    change(teacher)
    config = make_config(run_files, output_dir=str(tmp_path / "out"), model=str(teacher))
    (tmp_path / "compression.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["run", str(tmp_path / "compression.yaml")]) == 2
    printed = capfd.readouterr()
    (line,) = printed.err.splitlines()
    assert printed.out == "" and line.startswith("minidisc: model: ") and parts[0] in line
    assert not (tmp_path / "out").exists() and not list((tmp_path / "here").iterdir())


@pytest.fixture
def hub(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy of the teacher as the cache of the Hub keeps it, under the name somebody/movie."""
    from huggingface_hub import constants

    snapshot = tmp_path / "hub" / "models--somebody--movie" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    teacher.rename(snapshot)
    (tmp_path / "hub" / "models--somebody--movie" / "refs").mkdir()
    (tmp_path / "hub" / "models--somebody--movie" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for module in ("transformers.utils.hub", "huggingface_hub.file_download"):
        for name in ("TRANSFORMERS_CACHE", "HF_HUB_CACHE"):
            if hasattr(sys.modules[module], name):
                monkeypatch.setattr(sys.modules[module], name, str(tmp_path / "hub"))
    return snapshot


def test_a_model_of_the_hub_that_lies_in_the_cache_is_loaded(hub: Path, run_files: Path) -> None:
    found, saved = read_teacher("somebody/movie", False)
    assert saved == "float32" and load_tokenizer("somebody/movie", found, False)("good")["input_ids"]
    expected = load_teacher(str(run_files / "teacher"), False)
    assert torch.equal(found(**BATCH)["logits"], expected(**BATCH)["logits"])


@pytest.mark.parametrize("case", ["weights are a pointer", "weights cut", "NaN in a weight", "quantized by gptq"])
def test_a_broken_model_of_the_hub_is_refused(case: str, hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, parts = MODELS[case]
    change(hub)
    refused(lambda: load_teacher("somebody/movie", False), "model: 'somebody/movie'", *parts)
    assert "".join(capfd.readouterr()) == ""


def test_code_that_ends_the_process_is_refused(teacher: Path) -> None:
    config(model_type="mine", auto_map={"AutoConfig": "conf.Mine", "AutoModelForSequenceClassification": "conf.Model"})(
        teacher
    )
    (teacher / "conf.py").write_text("import sys\nsys.exit(0)\n", encoding="utf-8")
    refused(lambda: load_teacher(str(teacher), True), f"model: {str(teacher)!r} cannot be loaded", "SystemExit")
