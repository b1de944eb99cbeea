"""Folders in which a run could not write are refused before anything is loaded; runs on real disks that refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minidisc_plugin import CompressionConfig, compress
from minidisc_plugin.foundation.errors import ConfigError, StorageError, StorageFailedError
from minidisc_plugin.run.checks.places import check_places
from tests.builders.disks import grow, read_only, small_disk
from tests.builders.tiny import make_config


def config_of(files: Path, folder: Path, **changes: Any) -> CompressionConfig:
    return CompressionConfig.model_validate(make_config(files, **{"output_dir": str(folder / "out"), **changes}))


def test_a_cache_folder_behind_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deep"):
        config = config_of(tmp_path, tmp_path, engine={"teacher_cache_dir": str(folder)})
        with pytest.raises(ConfigError, match=r"^engine\.teacher_cache_dir: .* is a file; give another folder"):
            check_places(config)
    check_places(config_of(tmp_path, tmp_path, engine={"teacher_cache_dir": str(folder), "teacher_cache": False}))


def test_a_cache_folder_that_cannot_be_made_is_refused_and_one_that_is_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with read_only(tmp_path):
        made = config_of(tmp_path, tmp_path, engine={"teacher_cache_dir": str(tmp_path / "new")})
        with pytest.raises(ConfigError, match=r"cannot be written to; give another folder"):
            check_places(made)
        check_places(config_of(tmp_path, tmp_path, engine={"teacher_cache_dir": str(tmp_path / "there")}))


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("dataset.cache_dir", {"dataset": {"cache_dir": "out/cache"}}),
        ("dataset.cache_dir", {"dataset": {"cache_dir": "link/deep"}}),
        ("engine.teacher_cache_dir", {"engine": {"teacher_cache_dir": "out"}}),
        ("HF_HOME", {}),
        ("HF_DATASETS_CACHE", {}),
    ],
)
def test_a_cache_in_the_output_directory_is_refused_and_nothing_is_written(
    key: str, changes: dict[str, Any], run_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out", target_is_directory=True)
    data = make_config(run_files, output_dir=str(tmp_path / "out"))
    for section, keys in changes.items():
        data[section] = {**data.get(section, {}), **{name: str(tmp_path / value) for name, value in keys.items()}}
    if not changes:
        monkeypatch.setenv(key, str(tmp_path / "out" / "hf"))
    with pytest.raises(ConfigError, match=rf"^{key}: .* lies in output_dir \(.*out\).*; give a folder outside of it$"):
        compress(CompressionConfig.model_validate(data))
    assert not (tmp_path / "out").exists()


def test_a_cache_beside_the_output_directory_is_none_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "out-cache"))
    check_places(config_of(tmp_path, tmp_path, engine={"teacher_cache_dir": str(tmp_path)}))
    unused = {"teacher_cache_dir": str(tmp_path / "out" / "cache"), "teacher_cache": False}
    check_places(config_of(tmp_path, tmp_path, engine=unused))


def test_paths_that_would_become_too_long_are_refused(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 20)
    with pytest.raises(ConfigError, match=r"^output_dir: .* would have paths of more than 4096; give a shorter one"):
        check_places(config_of(tmp_path, tmp_path, output_dir=str(deep)))
    check_places(config_of(tmp_path, tmp_path, output_dir=str(tmp_path.joinpath(*["d" * 200] * 15))))


def test_a_folder_that_cannot_be_written_to(run_files: Path, tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(StorageError, match="Read-only file system") as caught:
        compress(config_of(run_files, tmp_path))
    assert caught.value.exit_status == 2


def test_a_disk_that_is_full_as_a_run_begins_is_left_as_it_was(run_files: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8k") as disk:
        with pytest.raises(StorageError, match="No space left on device") as caught:
            compress(config_of(run_files, disk))
        assert caught.value.exit_status == 2 and not list(disk.iterdir())


def test_a_cache_of_hugging_face_that_is_full(run_files: Path, tmp_path: Path) -> None:
    """In a process of its own: the libraries read HF_HOME once."""
    config = tmp_path / "config.json"
    config.write_text(config_of(run_files, tmp_path).model_dump_json(exclude_none=True, by_alias=True))
    with small_disk(tmp_path / "home", "16k") as home:
        command = [sys.executable, "-m", "minidisc_plugin.cli", "run", str(config)]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "HF_HOME": str(home)}, check=False
        )
    said = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and said.startswith(f"minidisc: {home}: No space left on device (")
    assert said.endswith("make room there, or set HF_HOME to another folder") and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_in_the_middle_of_a_run(run_files: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "300k") as disk:
        config = config_of(run_files, disk, trainer="transformers")
        said = r"/disk/out/.*: No space left on device \([\d,]+ bytes are needed, [\d,]+ bytes are free\); make room"
        with pytest.raises(StorageFailedError, match=said) as caught:
            compress(config)
        assert caught.value.exit_status == 1 and str(caught.value).endswith("go on with --resume (resume=True)")
        grow(disk)
        assert compress(config, resume=True).student is not None


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && {sys.executable} -m minidisc_plugin.cli doctor"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "minidisc: the working directory: No such file or directory; change into one that is there\n"
    )
