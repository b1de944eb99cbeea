"""The room on disk that a run takes: estimated, compared with what is free, and with what it took."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.contracts.run import Prepared
from minidisc_plugin.foundation.errors import StorageFailedError
from minidisc_plugin.run.plan.space import Space, estimate, warn_where_too_little
from minidisc_plugin.run.preparation import prepare
from minidisc_plugin.run.workbench import workbench_of
from minidisc_plugin.training.arguments import training_arguments
from tests.builders.disks import small_disk
from tests.builders.tiny import make_config


def prepared_run(files: Path, folder: Path, training: dict[str, Any], **changes: Any) -> Prepared:
    config = make_config(files, output_dir=str(folder / "out"), **changes)
    config["training"] |= training
    return prepare(CompressionConfig.model_validate(config), folder / "out" / "checkpoints")


@contextmanager
def watched(folder: Path) -> Iterator[list[int]]:
    """The most bytes that files in a folder had, as far as glances tell."""
    peak, over = [0], threading.Event()

    def glance() -> None:
        while not over.wait(0.003):
            total = 0
            for place, _, names in os.walk(folder):
                for name in names:
                    try:
                        total += os.lstat(os.path.join(place, name)).st_size
                    except OSError:
                        continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=glance)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("objective", ["minidisc", "hrkd", pytest.param("ted", marks=pytest.mark.slow)])
def test_a_run_takes_about_what_was_estimated(objective: str, run_files: Path, tmp_path: Path) -> None:
    training = {"num_train_epochs": 3}
    changes: dict[str, Any] = {"trainer": "transformers", "distillation": {"objective": objective}}
    if objective == "hrkd":
        changes["dataset"] = {**make_config(run_files)["dataset"], "domain": "label"}
    prepared = prepared_run(run_files, tmp_path / "estimate", training, **changes)
    space = estimate(prepared, workbench_of(prepared))
    config = make_config(run_files, output_dir=str(tmp_path / "out"), **changes)
    config["training"] |= training
    with watched(tmp_path / "out") as peak:
        compress(CompressionConfig.model_validate(config))
    assert (space.cache > 0) is (objective != "hrkd")  # whose attention weights are not kept
    # Of a model this small, what stands beside the weights (tokenizer, plot, states of Trainer) counts.
    assert 0.7 * space.in_output_dir < peak[0] < 1.2 * space.in_output_dir + 200_000


def test_what_is_kept_decides(run_files: Path, tmp_path: Path) -> None:
    prepared = prepared_run(run_files, tmp_path, {"num_train_epochs": 3})

    def estimated(training: dict[str, Any], engine: dict[str, Any]) -> Space:
        config = prepared.config.model_copy(update={"engine": prepared.config.engine.model_copy(update=engine)})
        args = training_arguments({"num_train_epochs": 3, **training}, tmp_path)
        changed = dataclasses.replace(prepared, config=config, args=args)
        return estimate(changed, workbench_of(changed))

    usual = estimated({}, {})
    none = estimated({"save_strategy": "no"}, {})
    assert none.checkpoints == 0 and none.stages == usual.stages and none.cache == usual.cache > 0
    without = estimated({}, {"teacher_cache": False})
    assert without.cache == 0 and without.checkpoints == usual.checkpoints
    assert estimated({}, {"teacher_cache_gib": 1e-6}).cache == 0
    assert estimated({"optim": "sgd"}, {}).checkpoints * 3 == usual.checkpoints
    elsewhere = estimated({}, {"teacher_cache_dir": str(tmp_path / "caches")})
    assert elsewhere.in_output_dir == usual.in_output_dir - usual.cache


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"save_strategy": "no"}, 0),
        ({"num_train_epochs": 4}, 2),
        ({"num_train_epochs": 1}, 1),
        ({"num_train_epochs": 4, "save_total_limit": 3}, 4),
        ({"num_train_epochs": 4, "save_total_limit": None}, 4),
        ({"num_train_epochs": 4, "save_total_limit": None, "save_strategy": "steps", "save_steps": 3}, 14),
        ({"num_train_epochs": 4, "save_total_limit": None, "save_strategy": "steps", "save_steps": 0.5}, 2),
        ({"max_steps": 5, "save_total_limit": None}, 1),
    ],
)
def test_how_many_checkpoints_lie_beside_each_other(settings: dict[str, Any], kept: int, tmp_path: Path) -> None:
    from minidisc_plugin.run.plan.space import _kept_checkpoints

    args = training_arguments({"per_device_train_batch_size": 10, **settings}, tmp_path)
    assert _kept_checkpoints(args, 97) == kept
    assert math.ceil(97 / 10) == 10  # steps an epoch


def test_too_little_room_is_said_in_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    space = Space(10**6, 10**6, 10**6, 0, 10**6, None)
    with small_disk(tmp_path / "disk", "3m") as disk:
        with caplog.at_level(logging.WARNING):
            warn_where_too_little(space, disk / "runs" / "out")
        said = f"the run may need 4,000,000 bytes in {disk}/runs/out, where 3,145,728 bytes are free; make room"
        (line,) = caplog.messages
        assert line.startswith(f"output_dir: {said}")
        caplog.clear()
        # Elsewhere, each disk has its own.
        space = Space(10**6, 0, 0, 0, 4 * 10**6, disk / "caches")
        warn_where_too_little(space, tmp_path / "out")
        (line,) = caplog.messages
        assert line.startswith(f"engine.teacher_cache_dir: the run may need 4,000,000 bytes in {disk}/caches, where")
        caplog.clear()
        # On one disk, they add up; what a resumed run has already does not count.
        space = Space(10**6, 10**6, 0, 0, 10**6 + 10**5, disk / "caches")
        warn_where_too_little(space, disk / "out")
        assert not caplog.messages
        (disk / "out").mkdir()
        (disk / "out" / "weights").write_bytes(bytes(10**6))
        warn_where_too_little(space, disk / "out")
        assert not caplog.messages
        (disk / "other").write_bytes(bytes(10**6))
        warn_where_too_little(space, disk / "out")
        assert len(caplog.messages) == 1


def test_a_run_says_so_before_it_trains(run_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "disk", "300k") as disk:
        config = make_config(run_files, output_dir=str(disk / "out"), trainer="transformers", scheduler="direct")
        config["training"] |= {"num_train_epochs": 2, "save_total_limit": 9}
        with caplog.at_level(logging.INFO, "minidisc_plugin"), pytest.raises(StorageFailedError):
            compress(CompressionConfig.model_validate(config))
    lines = [line for line in caplog.messages if "the run may need" in line or line.startswith("stage ")]
    assert ["the run may need" in line for line in lines] == [True, False]
