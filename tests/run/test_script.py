"""`Scheduler.schedule` in a script: what is missing, misspelt or unknown is told before anything is looked at."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from datasets import Dataset

import minidisc_plugin
from minidisc_plugin import MiniDisc, NestedModel
from minidisc_plugin.contracts.distillation import DistillationConfig
from minidisc_plugin.contracts.scheduler import ScriptInputs
from minidisc_plugin.foundation.errors import ConfigError, DataError
from minidisc_plugin.nested import model
from minidisc_plugin.objectives import Hrkd, MiniDiscObjective
from minidisc_plugin.plugins import families
from minidisc_plugin.run.script import workbench
from tests.builders.tiny import make_bert

WHOLE: dict[str, Any] = {"train_dataset": [1], "args": None, "compute_metrics": None, "metric": "accuracy"}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_missing_is_named(name: str) -> None:
    inputs = {key: value for key, value in WHOLE.items() if key != name}
    with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{name}'"):
        MiniDisc(target_sparsity=0.9).schedule(None, **inputs)


@pytest.mark.parametrize("name", ["resum", "selection_sise", "validation_dataset"])
def test_what_is_unknown_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        MiniDisc(target_sparsity=0.9).schedule(None, **WHOLE, **{name: True})


def test_what_is_explained_is_what_is_taken() -> None:
    taken = inspect.signature(workbench).parameters.values()
    assert {one.name for one in taken if one.kind is one.KEYWORD_ONLY} == set(ScriptInputs.__annotations__)


def test_texts_of_a_script_are_not_altered() -> None:
    objective = MiniDiscObjective(DistillationConfig(augment=2), regression=False)
    with pytest.raises(ConfigError, match=r"^distillation\.augment: 2: a script's texts are tokenised already"):
        MiniDisc(target_sparsity=0.9).schedule(None, **WHOLE, objective=objective)


@pytest.mark.parametrize("examples", [{"labels": [0, 1]}, {"domain": ["a", "b"]}, {"domain": [0, -1]}])
def test_domains_of_a_script_are_numbers(examples: dict[str, list[Any]]) -> None:
    settings = DistillationConfig.model_validate({"objective": "hrkd"})
    inputs = {**WHOLE, "train_dataset": Dataset.from_dict(examples), "objective": Hrkd(settings, regression=False)}
    with pytest.raises(DataError, match=r"no column 'domain' of the examples has the number of each one's, from 0"):
        MiniDisc(target_sparsity=0.9).schedule(None, **inputs)


def test_networks_of_a_run_are_nested_models() -> None:
    bert = make_bert()
    assert isinstance(NestedModel(bert), model.NestedModel)
    handed = model.NestedModel(make_bert(), families()["bert"])
    assert isinstance(handed, minidisc_plugin.NestedModel) and not isinstance(bert, NestedModel)
