"""A cache that is not what it was, a disk that refuses it, and other runs that share it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from minidisc_plugin.foundation.errors import DataError, StorageError
from minidisc_plugin.training import cache_folders, teacher_index, teacher_store
from minidisc_plugin.training.cache_folders import CacheFolders
from minidisc_plugin.training.teacher_cache import CacheWriter, TeacherCache
from tests.builders.disks import read_only, small_disk
from tests.builders.tiny import make_bert
from tests.foundation.test_storage import file_size_limit
from tests.training.making import Bench, make_teacher
from tests.training.test_teacher_cache import make_cache

KEY = "0123456789abcdef" * 2


def zeros(file: Path) -> None:
    """As after a power cut: the size is there, and the content is not."""
    size = file.stat().st_size
    file.write_bytes(bytes(size))


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads(file.read_text())
    change(index)
    file.write_text(json.dumps(index))


def another_format(file: Path) -> None:
    """What an earlier release wrote."""
    file.write_text('{"arrays": [{"name": "logits"}], "lengths": [1, 2, 3]}')


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "zeros": ("hidden_states.bin", zeros),
    "zeros, logits": ("logits.bin", zeros),
    "a bit": ("hidden_states.bin", flip_a_bit),
    "cut": ("hidden_states.bin", lambda file: os.truncate(file, 1000)),
    "longer": ("logits.bin", lambda file: os.truncate(file, 10**5)),
    "empty": ("logits.bin", lambda file: os.truncate(file, 0)),
    "missing": ("logits.bin", Path.unlink),
    "a folder": ("logits.bin", replace_by_folder),
    "no index": ("index.json", Path.unlink),
    "empty index": ("index.json", lambda file: file.write_text("")),
    "cut index": ("index.json", lambda file: os.truncate(file, 100)),
    "zeros for an index": ("index.json", zeros),
    "a list for an index": ("index.json", lambda file: file.write_text("[1]")),
    "no text for an index": ("index.json", lambda file: file.write_bytes(b"\xff\xfe\x00")),
    "nested index": ("index.json", lambda file: file.write_text("[" * 10**5)),
    "another format": ("index.json", another_format),
    "a future format": ("index.json", lambda file: edit(file, lambda index: index.update(format=99))),
    "other lengths": ("index.json", lambda file: edit(file, lambda index: index["lengths"].reverse())),
    "another array": ("index.json", lambda file: edit(file, lambda index: index["sha256"].update(more="0"))),
    "no checksum": ("index.json", lambda file: edit(file, lambda index: index["sha256"].pop("logits"))),
    "a wrong checksum": ("index.json", lambda file: edit(file, lambda index: index["sha256"].update(logits=1))),
}


def everything(cache: TeacherCache, bench: Bench) -> list[torch.Tensor]:
    found = []
    for row in range(len(cache)):
        outputs = cache.read([row], torch.tensor([bench.dataset[row]["attention_mask"]]))
        found += [outputs.logits, *(state for state in outputs.hidden_states if state is not None)]
    return found


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_anew(
    damage: str, bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(bench, tmp_path)
    assert cache is not None
    whole = everything(cache, bench)
    cache.close()
    name, spoil = DAMAGES[damage]
    spoil(cache.folder / name)
    monkeypatch.setattr(teacher_index, "_verified", set())  # as in another process
    again = make_cache(bench, tmp_path)
    assert again is not None and again.folder == cache.folder
    assert all(map(torch.equal, everything(again, bench), whole))
    (line,) = (record.getMessage() for record in caplog.records if record.name == teacher_store.__name__)
    assert line.startswith(f"the teacher's outputs are computed anew: {cache.folder}/")
    assert [path.name for path in tmp_path.iterdir()] == [cache.folder.name]


@pytest.mark.parametrize("kind", ["a file", "an empty folder", "a link"])
def test_what_lies_at_its_place_goes(kind: str, bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path / "caches")
    assert cache is not None
    elsewhere = tmp_path / "elsewhere"
    cache.folder.rename(elsewhere)
    if kind == "a file":
        cache.folder.write_text("")
    elif kind == "an empty folder":
        cache.folder.mkdir()
    else:
        os.truncate(elsewhere / "logits.bin", 1)
        cache.folder.symlink_to(elsewhere)
    again = make_cache(bench, tmp_path / "caches")
    assert again is not None and again.folder == cache.folder and not cache.folder.is_symlink()
    assert (elsewhere / "index.json").exists()
    assert [path.name for path in cache.folder.parent.iterdir()] == [cache.folder.name]


def test_checksums_are_compared_once_by_a_process(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cache(bench, tmp_path)
    read: list[Path] = []
    digest = teacher_index.sha256_of
    monkeypatch.setattr(teacher_index, "sha256_of", lambda file: read.append(file) or digest(file))
    make_cache(bench, tmp_path)
    assert not read  # it has just been made here
    monkeypatch.setattr(teacher_index, "_verified", set())
    make_cache(bench, tmp_path)
    assert sorted(file.name for file in read) == ["hidden_states.bin", "logits.bin"]
    make_cache(bench, tmp_path)
    assert len(read) == 2


def test_a_damaged_cache_that_cannot_be_removed_is_named(bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path)
    assert cache is not None
    cache.close()
    zeros(cache.folder / "logits.bin")
    with read_only(tmp_path):
        said = rf"^{cache.folder}: it is damaged, and cannot be removed \(Read-only file system\); remove it, name"
        with pytest.raises(StorageError, match=said):
            make_cache(bench, tmp_path)
        assert make_cache(bench, tmp_path, required=False) is None


def test_a_cache_is_read_from_a_disk_that_cannot_be_written_to(bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path)
    assert cache is not None
    with read_only(tmp_path):
        again = make_cache(bench, tmp_path)
        assert again is not None and again.folder == cache.folder
        again.close()


def test_a_file_that_is_cut_while_it_is_read(bench: Bench, tmp_path: Path) -> None:
    cache = make_cache(bench, tmp_path)
    assert cache is not None
    os.truncate(cache.folder / "hidden_states.bin", 5000)
    with pytest.raises(StorageError, match=rf"^{cache.folder}/hidden_states.bin: it was cut short while it was read"):
        everything(cache, bench)


@pytest.mark.parametrize("told", [True, False], ids=["by the free bytes", "by the filesystem"])
def test_a_full_disk(
    told: bool, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not told:
        monkeypatch.setattr(teacher_store, "require_room", lambda *_: None)
    monkeypatch.setattr(CacheWriter, "write", lambda *_: pytest.fail("it should not come to that"))
    with small_disk(tmp_path / "disk", "40k") as disk:
        said = (
            rf"^{disk}/?.*: No space left on device \([\d,]+ bytes are needed, [\d,]+ bytes are free\); make room there"
        )
        with pytest.raises(StorageError, match=said):
            make_cache(bench, disk / "caches")
        assert make_cache(bench, disk / "caches", required=False) is None
        assert not list((disk / "caches").iterdir())
    assert f"the teacher runs in every step: {disk}" in caplog.text


def test_a_limit_on_the_size_of_files(bench: Bench, tmp_path: Path) -> None:
    with file_size_limit(10**4), pytest.raises(StorageError, match=r"File too large \([\d,]+ bytes are needed, 10,000"):
        make_cache(bench, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_filesystem_that_cannot_allocate(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    cache = make_cache(bench, tmp_path)
    assert cache is not None and all(file.stat().st_size for file in cache.folder.iterdir())


def hold_elsewhere(folder: Path, what: str) -> subprocess.Popen[str]:
    """Another process that begins a cache, or reads one, until it is killed."""
    line = {
        "begins": f"begun = folders.begun({KEY!r}); begun.__enter__()",
        "reads": f"held = folders.open({KEY!r}); assert held",
    }[what]
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from minidisc_plugin.training.cache_folders import CacheFolders\n"
        f"folders = CacheFolders(Path({str(folder)!r}), 'index.json')\n"
        f"{line}\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_what_a_killed_run_left_goes_and_what_a_live_one_makes_stays(bench: Bench, tmp_path: Path) -> None:
    process = hold_elsewhere(tmp_path, "begins")
    try:
        (begun,) = tmp_path.glob(".unfinished-*")
        (tmp_path / f".unfinished-{KEY}-0").mkdir()  # killed before it could lock
        cache = make_cache(bench, tmp_path)
        assert cache is not None
        assert {path.name for path in tmp_path.iterdir()} == {begun.name, cache.folder.name}
    finally:
        kill(process)
    make_cache(bench, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [cache.folder.name]


def make_finished(folders: CacheFolders, key: str, size: int = 1000) -> None:
    with folders.begun(key) as (folder, file):
        (folder / "logits.bin").write_bytes(bytes(size))
        folders.finish(folder, file, key)


def test_what_another_process_reads_is_not_removed(tmp_path: Path) -> None:
    folders = CacheFolders(tmp_path, "index.json")
    make_finished(folders, KEY)
    process = hold_elsewhere(tmp_path, "reads")
    try:
        with pytest.raises(DataError, match="other runs are reading"):
            folders.make_room(1000, 1500, keep="")
        assert (tmp_path / KEY / "logits.bin").exists()
    finally:
        kill(process)
    folders.make_room(1000, 1500, keep="")
    assert not list(tmp_path.iterdir())


def test_a_half_removed_cache_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = CacheFolders(tmp_path, "index.json")
    make_finished(folders, KEY)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache_folders.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            folders.make_room(1000, 1500, keep="")
    assert folders.open(KEY) is None and not (tmp_path / KEY).exists()
    folders.clean()
    assert not list(tmp_path.iterdir())


def test_a_cache_that_is_being_removed_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = CacheFolders(tmp_path, "index.json")
    make_finished(folders, KEY)
    found = []
    rename = Path.rename

    def look_first(self: Path, target: Path) -> Path:
        found.append(folders.open(KEY))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", look_first)
    folders.make_room(1000, 1500, keep="")
    assert found == [None] and not list(tmp_path.iterdir())


def test_what_no_run_wrote_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    """A folder of data that a user gave as the cache's."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(bytes(10**6))
    (tmp_path / ".unfinished-letter").mkdir()
    (tmp_path / "notes.txt").write_text("")
    cache = make_cache(bench, tmp_path)
    assert cache is not None
    cache.close()
    make_cache(bench, tmp_path, make_bert(labels=2, seed=5), limit=1.5 * cache.layout.bytes)
    assert not cache.folder.exists()
    assert (tmp_path / "photos" / "cat.jpg").exists() and (tmp_path / "notes.txt").exists()
    assert (tmp_path / ".unfinished-letter").exists()


def test_a_cache_that_is_removed_before_it_is_opened_is_made_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, finish = [], CacheFolders.finish

    def removed_once(self: CacheFolders, folder: Path, file: Any, key: str) -> None:
        finish(self, folder, file, key)
        opened.append(key)
        if len(opened) == 1:
            self.discard(key)

    monkeypatch.setattr(CacheFolders, "finish", removed_once)
    assert make_cache(bench, tmp_path) is not None and len(opened) == 2

    def removed(self: CacheFolders, folder: Path, file: Any, key: str) -> None:
        finish(self, folder, file, key)
        self.discard(key)

    monkeypatch.setattr(CacheFolders, "finish", removed)
    with pytest.raises(StorageError, match="is removed again and again"):
        make_cache(bench, tmp_path, make_bert(labels=2, seed=3))


def test_outputs_are_known_by_all_that_they_depend_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(teacher: Any = None) -> str:
        cache = make_cache(bench, tmp_path, teacher)
        assert cache is not None
        return cache.folder.name

    found = [folder()]
    assert folder() == found[0]
    bench.tokenizer.padding_side = "left"
    found.append(folder())
    bench.tokenizer.padding_side = "right"
    found.append(folder(make_teacher().double()))
    found.append(folder(make_bert(labels=2, seed=7, attn_implementation="eager")))
    monkeypatch.setattr(teacher_store, "version", lambda name: "0")
    found.append(folder())
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in found)


def test_what_fails_in_one_process_fails_in_all(tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launcher, "-m", "tests.training.cache_in_processes", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for process in (0, 1):
        failed, none, whole = json.loads((tmp_path / f"told-{process}.json").read_text())
        assert failed.startswith(f"StorageError: {tmp_path}/caches: No space left on device (")
        assert (none, whole) == ("no cache", "cache")
    assert not list((tmp_path / "caches").glob(".unfinished-*"))
