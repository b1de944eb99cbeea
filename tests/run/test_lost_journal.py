"""A journal that is gone: nobody knows what its checkpoints were, so stages begin anew, and end as they would have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from minidisc_plugin import CompressionConfig, compress, hookimpl
from minidisc_plugin.plugins import host
from tests.builders.tiny import make_config

WEIGHT = 10.0  # of sparsity, so that halving drops the larger candidates whatever they score


def of(files: Path, output: Path) -> CompressionConfig:
    data = make_config(files, output_dir=str(output))
    data["scheduler_config"] = {"lambda": WEIGHT, "candidates": [0.7, 0.6, 0.5, 0.4], "sampling": "all"}
    data["training"] |= {"num_train_epochs": 4}
    data["engine"] = {"teacher_cache": True}
    return CompressionConfig.model_validate(data)


class Copies:
    """A plug-in that keeps what a kill would leave as a stage ends."""

    def __init__(self, stage: str, place: Path) -> None:
        self.stage, self.place = stage, place

    @hookimpl
    def minidisc_stage_finished(self, stage: str, seconds: float, output_dir: Path) -> None:
        if stage == self.stage:
            shutil.copytree(output_dir.parent, self.place, ignore=shutil.ignore_patterns(".lock"))


@pytest.mark.parametrize("killed_at", ["halving-2", pytest.param("selection", marks=pytest.mark.slow)])
@pytest.mark.quick_on("inc")
def test_a_run_whose_journal_is_gone_ends_as_one_that_was_never_killed(
    killed_at: str, run_files: Path, tmp_path: Path
) -> None:
    copies = Copies(killed_at, tmp_path / "killed")
    host().manager.register(copies)
    try:
        whole = compress(of(run_files, tmp_path / "whole"))
    finally:
        host().manager.unregister(copies)
    journal = tmp_path / "killed" / "checkpoints" / "journal.json"
    assert json.loads(journal.read_text(encoding="utf-8"))["halving-1"]["result"]["dropped"]
    journal.unlink()

    resumed = compress(of(run_files, tmp_path / "killed"), resume=True)
    assert resumed.schedule.candidates == whole.schedule.candidates
    assert resumed.results.seconds.keys() == whole.results.seconds.keys()
    assert not (tmp_path / "killed" / "checkpoints").exists()
    for mine, other in ((resumed.student, whole.student), (resumed.assistant, whole.assistant)):
        assert mine is not None and other is not None
        expected = other.state_dict()
        for name, value in mine.state_dict().items():
            assert torch.equal(value, expected[name]), name
