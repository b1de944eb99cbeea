"""The output directory: what it holds already is neither replaced nor resumed by mistake."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.config.file import read_config
from minidisc_plugin.run.directory.folder import RunDirectory
from minidisc_plugin.run.directory.record import RunRecord, deciding_settings
from minidisc_plugin.run.preparation import prepare
from tests.builders.tiny import make_config
from tests.run.test_bad_input import files


@pytest.fixture
def begun(run_files: Path, tmp_path: Path) -> CompressionConfig:
    """The config of a run that was begun and cut off at once."""
    config = CompressionConfig.model_validate(make_config(run_files, output_dir=str(tmp_path / "out")))
    directory = RunDirectory(config.output_dir)
    prepared = prepare(config, directory.checkpoints)
    with directory.opened(prepared.config, prepared.inputs, overwrite=False, resume=False):
        pass
    return config


def test_another_run_is_not_touched_unasked(begun: CompressionConfig, tmp_path: Path) -> None:
    before = files(tmp_path)
    with pytest.raises(RunDirectoryError) as caught:
        compress(begun)
    assert "--overwrite" in str(caught.value) and "--resume" in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"training": {"seed": 1}}, "training.learning_rate, training.num_train_epochs"),
        ({"pruning": {"target_sparsity": 0.7}, "max_length": 30}, "max_length, pruning.target_sparsity"),
        ({"scheduler": "direct"}, "scheduler"),
        ({"scheduler_config": {"lambda": 0.3, "candidates": [0.6, 0.4]}}, "scheduler_config.lambda;"),
    ],
)
def test_a_run_is_not_resumed_with_another_config(
    change: dict[str, Any], named: str, begun: CompressionConfig, tmp_path: Path
) -> None:
    before = files(tmp_path)
    other = CompressionConfig.model_validate(begun.model_dump(by_alias=True) | change)
    with pytest.raises(RunDirectoryError) as caught:
        compress(other, resume=True)
    assert f"with another {named}" in str(caught.value)
    assert files(tmp_path) == before


def test_the_resolved_config_is_the_same_run(begun: CompressionConfig) -> None:
    directory = RunDirectory(begun.output_dir)
    held = read_config(directory.root / "config.resolved.yaml")
    assert held != begun
    for config in (begun, held):
        prepared = prepare(config, directory.checkpoints)
        assert not directory.same_run(prepared.config, prepared.inputs)


@pytest.mark.parametrize(
    "training",
    [{"logging_steps": 7}, {"disable_tqdm": False}, {"save_total_limit": 3}, {"dataloader_pin_memory": False}],
)
def test_a_key_that_changes_no_result_forbids_nothing(training: dict[str, Any], begun: CompressionConfig) -> None:
    changed = begun.model_copy(update={"training": {**begun.training, **training}})
    directory = RunDirectory(begun.output_dir)
    prepared = prepare(changed, directory.checkpoints)
    assert not directory.same_run(prepared.config, prepared.inputs)


@pytest.mark.parametrize(
    ("engine", "named"),
    [
        ({"teacher_cache": "auto", "teacher_cache_gib": 1e-6}, ["engine.teacher_cache_gib"]),
        ({"teacher_cache": "auto", "teacher_cache_gib": 9.0}, ["engine.teacher_cache_gib"]),
        ({"teacher_cache": True, "teacher_cache_gib": 1e-6}, []),
        ({"teacher_cache": False, "teacher_cache_gib": 1e-6}, []),
        ({"teacher_cache": "auto", "teacher_cache_dir": "elsewhere"}, []),
    ],
)
def test_the_size_of_a_cache_decides_where_it_decides_whether_there_is_one(
    engine: dict[str, Any], named: list[str]
) -> None:
    kind = {"teacher_cache": engine["teacher_cache"]}
    configs = [CompressionConfig.model_validate(make_config(Path(), engine=keys)) for keys in (kind, engine)]
    held, wanted = (RunRecord(settings=deciding_settings(config), inputs={}) for config in configs)
    assert held.differences(wanted) == (named, [])
    before = {key: value for key, value in held.settings.items() if key != "engine.teacher_cache_gib"}
    assert RunRecord(settings=before, inputs={}).differences(wanted) == ([], []), "of an earlier release"


def test_the_output_directory_is_a_file(run_files: Path, tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(make_config(run_files, output_dir=str(tmp_path / "out")))
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(RunDirectoryError, match="is a file"):
            compress(config, **options)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_the_output_directory_holds_somebody_elses_files(run_files: Path, tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(make_config(run_files, output_dir=str(tmp_path / "out")))
    shutil.copytree(run_files / "teacher", tmp_path / "out")
    before = files(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(RunDirectoryError, match="no run wrote"):
            compress(config, overwrite=overwrite)
    with pytest.raises(RunDirectoryError, match="no run to resume"):
        compress(config, resume=True)
    assert files(tmp_path) == before


def test_there_is_no_run_to_resume(run_files: Path, tmp_path: Path) -> None:
    config = CompressionConfig.model_validate(make_config(run_files, output_dir=str(tmp_path / "out")))
    with pytest.raises(RunDirectoryError, match="no run to resume; leave --resume out"):
        compress(config, resume=True)
    assert not (tmp_path / "out").exists()


def test_a_teacher_that_the_run_wrote_is_not_overwritten(begun: CompressionConfig, tmp_path: Path) -> None:
    directory = RunDirectory(begun.output_dir)
    with directory.writing("student") as folder:
        shutil.copytree(begun.model, folder)
    before = files(tmp_path)
    for changes in ({"model": str(directory.student)}, {"tokenizer": str(directory.student)}):
        with pytest.raises(RunDirectoryError, match="which would be overwritten; give another folder"):
            compress(begun.model_copy(update=changes), overwrite=True)
    assert files(tmp_path) == before


def test_the_record_knows_no_secret(tmp_path: Path) -> None:
    options = {"average": "macro", "api_key": "0123456789abcdef"}
    config = make_config(tmp_path, metric={"name": "f1", "options": options}, training={"hub_token": "hf_0123456789"})
    settings = deciding_settings(CompressionConfig.model_validate(config))
    assert settings["metric.options.average"] == "macro"
    assert "0123456789" not in str(settings)
