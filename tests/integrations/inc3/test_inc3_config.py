"""The config of the algorithm `minidisc`: what it says, writes and refuses."""

from __future__ import annotations

import copy
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from neural_compressor.torch.quantization import RTNConfig, get_all_config_set

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.inc3 import MiniDiscConfig, Trial
from minidisc_plugin.integrations.inc3.trial import REQUIRED
from minidisc_plugin.run.script import workbench
from minidisc_plugin.schedulers.minidisc import MiniDisc
from tests.integrations.inc3.making import inputs


@pytest.fixture
def trial(run_files: Path, tmp_path: Path) -> Trial:
    return Trial(**inputs(run_files, tmp_path / "out"))


def test_its_json_has_every_setting_and_no_data(trial: Trial, tmp_path: Path) -> None:
    config = MiniDiscConfig([0.9, 0.5], data=trial, lam=0.3, candidates=[0.7, 0.2])
    written = json.loads(config.to_json_string())
    assert written.keys() == {*MiniDisc(target_sparsity=0.5).model_dump(by_alias=True), "scheduler"}
    assert (written["target_sparsity"], written["lambda"], written["candidates"]) == ([0.9, 0.5], 0.3, [0.7, 0.2])
    config.to_json_file(str(tmp_path / "config.json"))
    read = MiniDiscConfig.from_json_file(str(tmp_path / "config.json"))
    assert read.data is None and read.to_dict() == config.to_dict() == MiniDiscConfig.from_dict(written).to_dict()
    assert read != config and read == MiniDiscConfig.from_dict(written)
    assert "Dataset" not in repr(config)


def test_its_settings_are_the_schedulers() -> None:
    for name, field in MiniDisc.model_fields.items():
        assert (field.alias or name) in (MiniDiscConfig.__doc__ or "")
    assert MiniDiscConfig(0.9).to_dict()["lambda"] == MiniDisc.model_fields["lam"].default


def test_a_list_is_tried_from_the_smallest_student_up(trial: Trial) -> None:
    expanded = MiniDiscConfig([0.5, 0.95, 0.8], data=trial, candidates=[0.7, 0.3, 0.1]).expand()
    assert [config.target_sparsity for config in expanded] == [0.95, 0.8, 0.5]
    assert [config.settings["candidates"] for config in expanded] == [[0.7, 0.3, 0.1], [0.7, 0.3], [0.7]]
    assert all(config.data is trial for config in expanded)


def test_the_set_of_all_configs_goes_on_without_data() -> None:
    (ours,) = (config for config in get_all_config_set() if isinstance(config, MiniDiscConfig))
    assert ours.expand() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target_sparsity": 1.5}, "target_sparsity: 1.5 is not in (0, 1)"),
        ({"target_sparsity": 0}, "target_sparsity: 0 is not in (0, 1)"),
        ({"target_sparsity": "0.9"}, "target_sparsity: '0.9' is not in (0, 1)"),
        ({"target_sparsity": []}, "target_sparsity: is empty"),
        ({"target_sparsity": [0.9, 0.9]}, "target_sparsity: 0.9 is given twice"),
        ({"candidates": [0.05]}, "candidates: 0.05 is not in (0.1, 1)"),
        ({"target_sparsity": [0.9, 0.5], "candidates": [0.7, 0.05]}, "candidates: 0.05 is not in (0.1, 1)"),
        ({"target_sparsity": [0.9, 0.5], "candidates": [0.3]}, "candidates: none of [0.3] is larger"),
        ({"candidates": ["half"]}, "candidates"),
        ({"lam": -1}, "lambda: -1"),
        ({"lam": [0.1, 0.2]}, "lambda: [0.1, 0.2]"),
        ({"lam": 0.1, "lambda": 0.1}, "given twice"),
        ({"candidate": [0.5]}, "candidate: unknown key; did you mean 'candidates'"),
        ({"bits": 4}, "bits: unknown key; known keys: "),
        ({"scheduler": "minidisk"}, "scheduler: 'minidisk' is not known; found: direct, fixed, maxidisc, minidisc"),
        ({"white_list": ["Linear"]}, "white_list: ['Linear'] cannot be used"),
        ({"data": {"train_dataset": 1}}, "is no Trial"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(settings: dict[str, Any], said: str) -> None:
    for make in (lambda: MiniDiscConfig(**settings), lambda: MiniDiscConfig.from_dict(settings)):
        with pytest.raises(ConfigError) as raised:
            make()
        assert "\n" not in str(raised.value) and "scheduler_config" not in str(raised.value)
        assert said in str(raised.value) or str(raised.value).startswith("data: ")


def test_parts_of_a_model_mean_nothing_to_it() -> None:
    with pytest.raises(ConfigError, match="set_local: 'encoder' cannot be used"):
        MiniDiscConfig().set_local("encoder", RTNConfig())
    with pytest.raises(ConfigError, match="local: "):
        MiniDiscConfig.from_dict({"global": {"target_sparsity": 0.9}, "local": {"encoder": {}}})
    assert MiniDiscConfig.from_dict({"global": {"target_sparsity": 0.7}}).target_sparsity == 0.7


def test_a_trial_says_what_it_lacks_and_stays_as_it_is(trial: Trial) -> None:
    given = dict(trial.inputs)
    needed = {
        name for name, value in inspect.signature(workbench).parameters.items() if value.default is inspect._empty
    }
    assert needed == {"scheduler", "teacher", *REQUIRED}
    for name in REQUIRED:
        with pytest.raises(ConfigError, match=rf"Trial\.{name}: missing"):
            Trial(**{other: value for other, value in given.items() if other != name})
    with pytest.raises(ConfigError, match=r"Trial\.metrics: unknown key; did you mean 'metric'"):
        Trial(**given, metrics="f1")
    with pytest.raises(ConfigError, match="another Trial"):
        trial.metric = "f1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_sparsity", 0.5),
        ("scheduler", "direct"),
        ("settings", {"lambda": 0.9}),
        ("data", None),
        ("white_list", ["Linear"]),
        ("lam", 0.9),
        ("candidates", [0.5]),
    ],
)
def test_a_config_stays_as_it_is(name: str, value: Any, trial: Trial) -> None:
    config = MiniDiscConfig(0.9, data=trial)
    with pytest.raises(ConfigError, match=rf"MiniDiscConfig\.{name}: .* comes too late; make another MiniDiscConfig"):
        setattr(config, name, value)
    assert config.scheduler_to_run()[0].target_sparsity == 0.9 and config.data is trial


def test_what_is_changed_inside_of_a_config_does_not_run_as_if_it_were_not(trial: Trial) -> None:
    given = [0.7, 0.3]
    for change in (
        lambda config: config.settings.update({"lambda": 0.9}),
        lambda config: config.settings["candidates"].append(0.5),
        lambda config: config.target_sparsity.append(0.5),
    ):
        config = MiniDiscConfig([0.9], data=trial, candidates=given)
        change(config)
        for use in (config.expand, config.scheduler_to_run):
            with pytest.raises(ConfigError, match=r"(settings|target_sparsity): .* comes too late"):
                use()
    config = MiniDiscConfig([0.9], data=trial, candidates=given)
    given.append(0.5)  # the caller's list is the caller's
    assert config.expand()[0].settings["candidates"] == [0.7, 0.3]


def test_a_config_is_copied_as_the_host_copies_it(trial: Trial) -> None:
    config = MiniDiscConfig([0.9, 0.8], data=trial, lam=0.3).expand()[1]
    for other in (copy.copy(config), copy.deepcopy(config)):
        assert other.to_dict() == config.to_dict() and other.data is trial
        with pytest.raises(ConfigError, match="comes too late"):
            other.target_sparsity = 0.5


IMPORTED = """
from neural_compressor.common.base_config import ConfigRegistry, options
from neural_compressor.torch.quantization import quantize
from neural_compressor.torch.utils.utility import algos_mapping
algorithms, configs = dict(algos_mapping), dict(ConfigRegistry.get_all_configs()["torch"])
workspace = options._workspace
import minidisc_plugin.integrations.inc3
for before, after in ((algorithms, algos_mapping), (configs, ConfigRegistry.get_all_configs()["torch"])):
    assert after.keys() - before.keys() == {"minidisc"}
    assert all(after[name] is value for name, value in before.items())
assert options._workspace == workspace
"""


def test_importing_it_registers_its_name_and_changes_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(tmp_path.iterdir())
