"""A teacher that loads and cannot compute is refused before anything is trained or written."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers
import yaml

from minidisc_plugin import CompressionConfig, MinidiscError
from minidisc_plugin.cli import main
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.checks.trial import try_saving
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config
from tests.tasks.making import make_task_run


def prepared_with(run_files: Path, folder: Path, **changes: Any) -> None:
    """Prepare a run of the teacher with other keys in its config.json."""
    teacher = Path(shutil.copytree(run_files / "teacher", folder / "teacher"))
    data = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    (teacher / "config.json").write_text(json.dumps(data | changes), encoding="utf-8")
    config = make_config(run_files, model=str(teacher), output_dir=str(folder / "out"))
    prepare(CompressionConfig.model_validate(config), folder / "checkpoints")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_norm_eps": "1e-12"}, "layer_norm"),  # one release refuses it earlier
        ({"layer_norm_eps": float("nan")}, "not finite"),
        ({"layer_norm_eps": -5.0}, "not finite"),
        ({"chunk_size_feed_forward": 7}, "cannot compute the first examples"),
    ],
)
def test_what_cannot_compute_is_refused(changes: dict[str, Any], message: str, run_files: Path, tmp_path: Path) -> None:
    with pytest.raises(MinidiscError) as caught:
        prepared_with(run_files, tmp_path, **changes)
    line = str(caught.value)
    assert "\n" not in line and line.startswith("model: '") and message in line
    assert {path.name for path in tmp_path.iterdir()} == {"teacher"}


@pytest.mark.parametrize("changes", [{"output_hidden_states": True, "return_dict": False}, {"use_cache": True}])
def test_what_computes_passes(changes: dict[str, Any], run_files: Path, tmp_path: Path) -> None:
    prepared_with(run_files, tmp_path, **changes)
    assert {path.name for path in tmp_path.iterdir()} == {"teacher"}


def test_a_run_of_a_config_that_asks_for_more_outputs(run_files: Path, tmp_path: Path) -> None:
    teacher = Path(shutil.copytree(run_files / "teacher", tmp_path / "teacher"))
    data = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    asked = {"return_dict": False, "output_hidden_states": True, "output_attentions": True, "torchscript": True}
    (teacher / "config.json").write_text(json.dumps(data | asked), encoding="utf-8")
    config = make_config(run_files, model=str(teacher), output_dir=str(tmp_path / "out"))
    (tmp_path / "compression.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert main(["run", str(tmp_path / "compression.yaml")]) == 0
    saved = json.loads((tmp_path / "out" / "student" / "config.json").read_text(encoding="utf-8"))
    assert not any(saved.get(key) for key in asked)


def language_run(folder: Path, **generation: Any) -> CompressionConfig:
    """A run on a tiny decoder, with other keys in its generation_config.json."""
    (folder / "data").mkdir()
    config = make_task_run(folder / "data", "text-generation", "gpt2", "bits_saved", epochs=0)
    file = folder / "data" / "teacher" / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | generation), encoding="utf-8")
    return CompressionConfig.model_validate(config | {"output_dir": str(folder / "out")})


@pytest.mark.skipif(transformers.__version__.startswith("5"), reason="it may be saved")
def test_generation_settings_that_cannot_be_saved_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"generation_config.json of .* cannot be saved again.*temperature"):
        prepare(language_run(tmp_path, temperature=0.6, do_sample=False), tmp_path / "checkpoints")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_a_tokenizer_that_cannot_be_saved_is_refused(run_files: Path, tmp_path: Path) -> None:
    prepared = prepare(CompressionConfig.model_validate(make_config(run_files)), tmp_path)
    broken = copy.deepcopy(prepared.processor)
    broken.init_kwargs["of no use"] = object()  # what no JSON can hold
    with pytest.raises(ConfigError, match=r"tokenizer: .* cannot be saved beside a student"):
        try_saving(prepared.config, broken, prepared.teacher)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "made",
    [
        lambda _: 1 / 0,
        lambda _: {"input_ids": [[1, 2], [3]]},
        lambda _: None,
    ],
    ids=["raises", "gives no tensors", "gives nothing"],
)
def test_batches_that_cannot_be_made_are_refused(
    made: Any, run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a tokenizer's settings may have it, which nobody looks at before."""
    monkeypatch.setattr("minidisc_plugin.run.checks.trial.collator_of", lambda prepared: made)
    with pytest.raises(ConfigError, match=r"^model: '.*' cannot compute the first examples of the data: ") as caught:
        prepare(CompressionConfig.model_validate(make_config(run_files)), tmp_path / "checkpoints")
    assert "\n" not in str(caught.value)
