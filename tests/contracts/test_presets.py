"""Protocols are presets: they fill in what the user left out, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.presets import PRESETS, with_protocol
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.run.pipeline import compress
from tests.builders.tiny import make_config


def make(**changes: Any) -> CompressionConfig:
    base = {
        "model": "teacher",
        "dataset": {"path": "csv", "text": "sentence"},
        "metric": "accuracy",
        "pruning": {"target_sparsity": 0.9},
        "output_dir": "out",
    }
    return CompressionConfig.model_validate(base | changes)


def test_the_published_protocol_is_that_of_the_paper() -> None:
    config = with_protocol(make(protocol="published"))
    assert (config.engine.padding, config.engine.dropout) == ("max_length", True)
    assert config.engine.teacher_cache is False and config.engine.half_precision is False
    assert config.scheduler_config == {"sampling": "all", "halving": False}
    assert config.training == {"group_by_length": False, "eval_strategy": "steps", "eval_steps": 10}


def test_nothing_of_the_engine_is_left_open() -> None:
    for protocol in PRESETS:
        engine = with_protocol(make(protocol=protocol)).engine
        left = {name for name, value in engine.model_dump().items() if value is None}
        assert left == {"tokens_per_batch", "teacher_cache_dir", "weights"}


def test_what_the_user_wrote_wins() -> None:
    config = with_protocol(
        make(
            protocol="published",
            engine={"padding": "longest", "teacher_cache": True},
            scheduler_config={"sampling": "sandwich"},
            training={"group_by_length": True, "eval_strategy": "no", "num_train_epochs": 1},
        )
    )
    assert config.engine.padding == "longest" and config.engine.teacher_cache is True and config.engine.dropout is True
    assert config.scheduler_config == {"sampling": "sandwich", "halving": False}
    assert config.training == {"group_by_length": True, "eval_strategy": "no", "num_train_epochs": 1}


def test_transformers_other_names_count_as_said() -> None:
    config = with_protocol(make(protocol="published", training={"train_sampling_strategy": "group_by_length"}))
    assert "group_by_length" not in config.training


def test_a_resolved_config_is_resolved() -> None:
    once = with_protocol(make(protocol="published"))
    assert with_protocol(once) == once


@pytest.mark.parametrize("protocol", list(PRESETS))
def test_a_run_by_each_protocol(protocol: str, run_files: Path, tmp_path: Path) -> None:
    data = make_config(
        run_files, output_dir=str(tmp_path / "out"), protocol=protocol, trainer="transformers", max_length=16
    )
    data["training"] |= {"use_cpu": True, "num_train_epochs": 2}
    result = compress(CompressionConfig.model_validate(data))
    seconds = result.results.seconds
    assert ("sandwich-teacher" in seconds) == (protocol == "fast")
    resolved = yaml.safe_load((tmp_path / "out" / "config.resolved.yaml").read_text(encoding="utf-8"))
    assert resolved["engine"]["padding"] == ("longest" if protocol == "fast" else "max_length")
    assert not list((tmp_path / "out").rglob("*.bin")), "a teacher's outputs were left"
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"student", "assistant", "results.json"}


def test_padding_beyond_the_positions_of_the_model_is_refused(run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files, output_dir=str(tmp_path / "out"), protocol="published")
    with pytest.raises(ConfigError, match=r"max_length: batches would be padded to 128 tokens.* 32 positions"):
        compress(CompressionConfig.model_validate(data))
    assert not (tmp_path / "out").exists()
