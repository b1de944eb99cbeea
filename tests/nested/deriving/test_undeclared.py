"""Architectures that nobody declared: most are derived, and their slices are what they should be; others refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import minidisc_plugin
from minidisc_plugin import NestedModel
from minidisc_plugin.foundation.errors import ConfigError, UnsupportedModelError
from minidisc_plugin.nested.deriving.derive import derived_family
from minidisc_plugin.nested.deriving.probing import floats, probe_inputs
from minidisc_plugin.nested.ranking import Ranking, rank_units
from minidisc_plugin.plugins import families
from tests.builders.undeclared import DERIVED, REFUSED, has, is_derived_here, make_undeclared
from tests.nested.crafting import random_scores

QUICK = ("persimmon",)  # each is loaded by a process of its own, which takes seconds
DERIVED_HERE = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in DERIVED if is_derived_here(name)
]
REFUSED_HERE = [name for name, (case, _) in REFUSED.items() if has(case)]


def outputs_of(model: Any, inputs: dict[str, Any]) -> Tensor:
    with torch.no_grad():
        return torch.cat([found.flatten() for found in floats(model(**inputs))])


def test_none_of_them_is_declared() -> None:
    assert not families().keys() & (DERIVED.keys() | REFUSED.keys())


@pytest.mark.parametrize("name", DERIVED_HERE)
def test_a_derived_family_slices_extracts_trains_and_saves(name: str, tmp_path: Path) -> None:
    model = make_undeclared(name)
    family = derived_family(model)
    assert family.derived
    assert family.model_type == model.config.model_type
    nested, inputs = NestedModel(copy.deepcopy(model), family), probe_inputs(model)
    whole = outputs_of(model, inputs)
    torch.testing.assert_close(outputs_of(nested.model, inputs), whole, atol=1e-5, rtol=1e-5)
    scores = [
        random_scores([units.count for units in part], 1)
        for part in (nested._structure.heads, nested._structure.neurons)
    ]
    nested.apply_ranking(Ranking(rank_units(scores[0], nested._ties()), rank_units(scores[1])))
    torch.testing.assert_close(outputs_of(nested.model, inputs), whole, atol=1e-5, rtol=1e-5)
    nested.set_scale(0.4)
    torch.stack([found.float().pow(2).mean() for found in floats(nested.model(**inputs))]).sum().backward()
    torch.optim.SGD(nested.parameters(), lr=1e-3).step()
    expected = outputs_of(nested.model, inputs)
    assert (expected - whole).abs().max() > 1e-4
    student = nested.extract(0.4)
    torch.testing.assert_close(outputs_of(student, inputs), expected, atol=1e-5, rtol=1e-5)
    assert nested.parameter_counts(0.4)[0] == sum(parameter.numel() for parameter in student.parameters())
    student.save_pretrained(tmp_path)
    loaded = minidisc_plugin.load(tmp_path)
    torch.testing.assert_close(outputs_of(loaded, inputs), expected, atol=1e-5, rtol=1e-5)
    smaller = NestedModel(loaded)
    assert smaller.family.layouts == family.layouts, "found in its config, and not derived again"


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_cannot_be_derived_is_refused_by_the_place(name: str) -> None:
    model = make_undeclared(name)
    with pytest.raises(UnsupportedModelError, match=REFUSED[name][1]):
        derived_family(model)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of a derived family."""
    folder = tmp_path_factory.mktemp("student")
    NestedModel(make_undeclared("gpt_neox_japanese")).extract(0.5).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ([], "no heads or no neurons"),
        ("layers", r"layer_layouts.* in config\.json"),
        ([{"heads": [], "neurons": []}], "no heads or no neurons"),
        ([{"heads": [{"at": "layers.*"}], "neurons": []}], r"layer_layouts\.0\.heads\.0\.attention"),
    ],
)
def test_layouts_that_are_broken_in_a_config_are_refused(student: Path, broken: Any, said: str) -> None:
    file = student / "config.json"
    before = file.read_text(encoding="utf-8")
    file.write_text(json.dumps({**json.loads(before), "layer_layouts": broken}), encoding="utf-8")
    try:
        with pytest.raises(ConfigError, match=said):
            minidisc_plugin.load(student)
    finally:
        file.write_text(before, encoding="utf-8")


def test_places_that_are_not_there_are_refused(student: Path) -> None:
    file = student / "config.json"
    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace("attention.dense", "attention.thick"), encoding="utf-8")
    try:
        with pytest.raises(UnsupportedModelError, match="not built as its family"):
            minidisc_plugin.load(student)
    finally:
        file.write_text(before, encoding="utf-8")
