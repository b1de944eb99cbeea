"""`engine.half_precision` asks for bf16 where it can be had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.run.pipeline import compress
from minidisc_plugin.training.precision import with_precision
from tests.builders.tiny import make_config

WITHOUT_ACCELERATOR = pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")


@WITHOUT_ACCELERATOR
def test_a_processor_alone_trains_in_bf16_where_it_is_asked_to(run_files: Path, tmp_path: Path) -> None:
    data = make_config(run_files, output_dir=str(tmp_path / "out"), trainer="transformers")
    data["engine"] = {"half_precision": True}
    data["training"].pop("use_cpu", None)
    config = CompressionConfig.model_validate(data)
    chosen = with_precision(config).training
    assert chosen["bf16"] is True and chosen["use_cpu"] is True
    result = compress(config)
    found = result.results.row("student")
    assert found is not None and found.metric is not None and found.metric > 0.8


@pytest.mark.parametrize("training", [{"bf16": False}, {"fp16": True}])
def test_what_the_user_wrote_stays(run_files: Path, training: dict[str, bool]) -> None:
    config = CompressionConfig.model_validate(make_config(run_files) | {"training": training})
    asked = config.model_copy(update={"engine": config.engine.model_copy(update={"half_precision": True})})
    assert with_precision(asked).training == training
