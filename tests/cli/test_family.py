"""`minidisc family`: a declaration that can be pasted, or why there is none."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from minidisc_plugin.cli import main
from minidisc_plugin.contracts.family import Family
from minidisc_plugin.plugins import families
from tests.builders.own_code import write_own_code
from tests.builders.undeclared import make_undeclared
from tests.builders.zoo import make_model


def pasted(text: str) -> Family:
    """What a plug-in of this text registers."""
    module = ModuleType("pasted")
    exec(text, vars(module))
    (family,) = module.minidisc_register_families()
    assert isinstance(family, Family)
    return family


@pytest.mark.parametrize("case", ["bert", "gpt2", "llama", "mpnet", "t5", "umt5"])
def test_a_declared_family_is_printed_as_it_is(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_model(case).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert main(["family", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert pasted(told.out) == families()[case]
    assert f"minidisc: {case}: declared" in told.err


def test_a_derived_family_is_printed_as_a_plug_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_undeclared("persimmon").save_pretrained(tmp_path)
    assert main(["family", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "persimmon: derived from PersimmonForCausalLM, and verified" in told.err
    family = pasted(told.out)
    assert family.model_type == "persimmon"
    assert not family.derived
    assert family.layouts[0].heads[0].inputs == ("self_attn.query_key_value",)
    assert family.layouts[0].neurons[0].output == "mlp.dense_4h_to_h"


@pytest.mark.parametrize(
    ("name", "said"),
    [("olmo2", "no family is declared for Olmo2ForCausalLM"), ("bloom", "another order of its units changes")],
)
def test_what_cannot_be_derived_is_told_in_a_line(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_undeclared(name).save_pretrained(tmp_path)
    capsys.readouterr()
    assert main(["family", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("minidisc: model: ")
    assert said in told.err
    assert told.err.count("\n") == 1


def test_code_that_comes_with_a_model_is_run_where_it_is_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_own_code(tmp_path)
    assert main(["family", str(tmp_path)]) == 2
    assert "needs code of its own" in capsys.readouterr().err
    assert main(["family", str(tmp_path), "--trust-remote-code"]) == 0
    told = capsys.readouterr()
    assert "tiny_of_its_own: derived from TinyForSequenceClassification, and verified" in told.err
    assert pasted(told.out).layouts[0].heads[0].output == "mixer.back"
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"width": "wide"}), encoding="utf-8")
    assert main(["family", str(tmp_path), "--trust-remote-code"]) == 2
    assert "its own code makes no model of its config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "has no config.json; give the folder of a model"),
        ("{", "config.json"),
        ("{}", "has no architectures|model_type"),
        ('{"model_type": "bert", "architectures": ["NoSuchModel"]}', "'NoSuchModel' is not a class of transformers"),
        ('{"model_type": "bert", "architectures": ["BertModel"], "num_hidden_layers": "two"}', "num_hidden_layers"),
    ],
)
def test_a_folder_without_a_model_is_told_in_a_line(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert main(["family", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert any(one in told.err for one in said.split("|")), told.err
    assert told.err.count("\n") == 1
