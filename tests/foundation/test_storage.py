"""What disks refuse, met by the libraries that write: one error, one line, with the path, the cause and the bytes."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from minidisc_plugin.foundation import atomic
from minidisc_plugin.foundation.disks import free_bytes
from minidisc_plugin.foundation.errors import DataError, StorageError
from minidisc_plugin.foundation.storage import cache_error, storage_error, storage_errors
from minidisc_plugin.integrations.hosts import available
from tests.builders.disks import read_only, small_disk

BIG = torch.zeros(2**20)


def plot(path: Path) -> None:
    from matplotlib.figure import Figure

    Figure(figsize=(20, 20)).savefig(path, dpi=50, format="raw")


def arrow(path: Path) -> None:
    import pyarrow

    table = pyarrow.table({"a": np.random.default_rng(0).random(2**19)})
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def openvino(path: Path) -> None:
    import openvino
    from openvino import opset13 as ops

    given = ops.parameter([1, 2**20], np.float32)
    constant = ops.constant(np.random.default_rng(0).random((1, 2**20)).astype(np.float32))
    openvino.save_model(openvino.Model([ops.add(given, constant)], [given]), path.with_suffix(".xml"))


WRITERS: dict[str, Callable[[Path], Any]] = {
    "python": lambda path: path.write_bytes(bytes(2**22)),
    "atomic": lambda path: atomic.write_bytes(path, bytes(2**22)),
    "torch": lambda path: torch.save({"a": BIG}, path),
    "torch, no ascii": lambda path: torch.save({"a": BIG}, path.with_name("größe")),
    "torch, legacy": lambda path: torch.save({"a": BIG}, path, _use_new_zipfile_serialization=False),
    "safetensors": lambda path: save_file({"a": BIG}, path),
    "numpy": lambda path: np.zeros(2**20).tofile(path),
    "matplotlib": plot,
    "arrow": arrow,
    **({"openvino": openvino} if available("openvino") else {}),
}


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk(writer: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with pytest.raises(StorageError) as caught, storage_errors(disk / "file", 4 * 2**20):
            WRITERS[writer](disk / "file")
        said = str(caught.value)
        assert f"{disk}/file: " in said and "No space left on device" in said
        assert "4,194,304 bytes are needed" in said and "bytes are free" in said and "\n" not in said


@pytest.mark.parametrize("writer", WRITERS)
def test_a_limit_on_the_size_of_files(writer: str, tmp_path: Path) -> None:
    with file_size_limit(2**18), pytest.raises(StorageError) as caught, storage_errors(tmp_path / "file"):
        WRITERS[writer](tmp_path / "file")
    assert "File too large (262,144 bytes are allowed); raise the limit" in str(caught.value)


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "openvino"])  # which makes folders
def test_a_folder_that_vanished(writer: str, tmp_path: Path) -> None:
    said = rf"^{tmp_path}/gone.*: No such file or directory; was it removed"
    with pytest.raises(StorageError, match=said), storage_errors(tmp_path / "gone" / "file"):
        WRITERS[writer](tmp_path / "gone" / "file")


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_cannot_be_written_to(writer: str, tmp_path: Path) -> None:
    with read_only(tmp_path) as still:
        said = rf"^{still}.*: (Read-only file system; make it writable|cannot be written)"
        with pytest.raises(StorageError, match=said), storage_errors(still / "file"):
            WRITERS[writer](still / "file")


@pytest.mark.parametrize("writer", [name for name in WRITERS if name not in ("openvino", "torch, no ascii")])
def test_names_that_are_too_long(writer: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, storage_errors(tmp_path / ("n" * 300)):
        WRITERS[writer](tmp_path / ("n" * 300))
    assert str(caught.value).endswith("File name too long; give a shorter path")


def test_a_nul_in_a_path_is_named_and_not_printed(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, storage_errors(tmp_path / "a\0b"):
        (tmp_path / "a\0b").mkdir()
    assert str(caught.value) == f"{tmp_path}/a\\x00b: a path cannot hold a NUL character; remove it"


def test_no_more_files(tmp_path: Path) -> None:
    said = "bytes are free, but no more files"
    with small_disk(tmp_path / "disk", files=4) as disk, pytest.raises(StorageError, match=said), storage_errors(disk):
        for index in range(9):
            (disk / str(index)).touch()


def test_too_many_open_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
    try:
        with ExitStack() as stack, pytest.raises(StorageError) as caught, storage_errors(tmp_path):
            for index in range(99):
                stack.enter_context((tmp_path / str(index)).open("w"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files; raise the limit on open files (ulimit -n)" in str(caught.value)


def test_the_variable_that_moves_a_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    for name, folder in (("HF_HOME", "home/modules"), ("HF_DATASETS_CACHE", "datasets/csv")):
        found = storage_error(OSError(errno.EROFS, "", str(tmp_path / folder)))
        said = f"{tmp_path / folder}: Read-only file system; make it writable, or set {name} to another folder"
        assert str(found) == said


def test_what_can_be_resumed_says_so(tmp_path: Path) -> None:
    outer, inner = storage_errors(tmp_path / "outer", during_run=True), storage_errors(tmp_path / "inner")
    with pytest.raises(StorageError) as caught, outer, inner:
        raise OSError(errno.EDQUOT, "")
    assert f"{tmp_path / 'inner'}: Disk quota exceeded (" in str(caught.value)
    assert str(caught.value).endswith("; make room there, then go on with --resume (resume=True)")


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, ""),
        TimeoutError(errno.ETIMEDOUT, ""),
        BrokenPipeError(errno.EPIPE, ""),
        OSError("Can't load the configuration of 'x'"),
        ValueError("too many values to unpack"),
        RuntimeError("CUDA error: operation not permitted"),
        RuntimeError("CUDA out of memory (2)"),
        KeyError("file"),
        DataError("data"),
    ],
    ids=repr,
)
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, storage_errors("anywhere"):
        raise error
    assert caught.value is error


def test_what_was_being_handled_is_not_the_cause() -> None:
    def fails() -> None:
        try:
            Path("/nowhere/at/all").read_bytes()
        except OSError:
            raise TypeError("a fault of the program")  # noqa: B904

    with pytest.raises(TypeError), storage_errors("anywhere"):
        fails()


def test_a_cause_is_looked_for_behind_what_wraps_it() -> None:
    with pytest.raises(StorageError, match="Input/output error; the device may be failing"), storage_errors("x"):
        raise RuntimeError("generation failed") from OSError(errno.EIO, os.strerror(errno.EIO), "file")


def test_free_bytes_are_those_of_the_nearest_folder(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        assert free_bytes(disk / "not" / "made" / "yet") == 2**20
    assert free_bytes(tmp_path / "a\0b") is None or isinstance(free_bytes(tmp_path / "a\0b"), int)


def test_shared_memory_is_named() -> None:
    said = "unable to write to file </torch_123_4>: No space left on device (28)"
    assert str(storage_error(RuntimeError(said))).startswith("/dev/shm: No space left on device (")


def test_what_was_written_stays_readable_beside_what_was_not(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with atomic.atomic_path(disk / "whole") as temporary:
            save_file({"a": BIG[:9]}, temporary)
        with pytest.raises(StorageError), storage_errors(disk), atomic.atomic_path(disk / "whole") as temporary:
            save_file({"a": BIG}, temporary)
        assert os.listdir(disk) == ["whole"] and load_file(disk / "whole")["a"].numel() == 9


def test_an_error_that_follows_from_another_is_told_by_that_one(tmp_path: Path) -> None:
    def closes() -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            raise ValueError("I/O operation on closed file")

    with pytest.raises(StorageError, match="No space left on device"), storage_errors(tmp_path):
        closes()
    with pytest.raises(ValueError, match="closed file"), storage_errors(tmp_path):
        raise ValueError("I/O operation on closed file")


def test_errors_of_caches_are_told_from_those_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(cache_error(full)).startswith(f"{tmp_path}/home: No space left on device (")
    assert str(cache_error(full, tmp_path / "own")).startswith(f"{tmp_path}/own: No space left on device (")
    wrapped = RuntimeError("generation failed")
    wrapped.__cause__ = OSError(errno.EEXIST, "", str(tmp_path / "home" / "datasets"))
    assert "File exists; remove it, or set HF_HOME to another folder" in str(cache_error(wrapped))
    for other in (FileNotFoundError(errno.ENOENT, "", "train.csv"), PermissionError(errno.EACCES, ""), KeyError("a")):
        assert cache_error(other) is None


def test_workers_without_shared_memory() -> None:
    said = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that workers are out of it."
    found = str(storage_error(RuntimeError(said)))
    assert found.startswith("/dev/shm: No space left on device (") and "training.dataloader_num_workers: 0" in found
