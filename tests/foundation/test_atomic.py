from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidisc_plugin.foundation import atomic
from minidisc_plugin.foundation.storage import storage_error


def test_replaces_what_was_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    atomic.write_text(target, "first")
    atomic.write_text(target, "größer\n")
    assert target.read_bytes() == "größer\n".encode()
    atomic.write_bytes(str(target), b"\x00\r\n")
    assert target.read_bytes() == b"\x00\r\n"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_exception_half_way_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "model.tar.gz"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic.atomic_path(target) as temporary:
        temporary.write_text("ne")
        assert temporary.parent == tmp_path and temporary.suffixes[-2:] == [".tar", ".gz"]
        assert target.read_text() == "old"
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.tar.gz"]


def test_a_failing_rename_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def refuse(source: object, destination: object) -> None:
        raise PermissionError("held open by another process")

    monkeypatch.setattr("minidisc_plugin.foundation.atomic.os.replace", refuse)
    with pytest.raises(PermissionError):
        atomic.write_text(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), atomic.atomic_path(target):
        pass
    assert target.read_text() == "old"


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for content in ("first", "second"):
        with atomic.atomic_folder(target) as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / content).write_text(content)
        assert os.listdir(target / "deep") == [content] and os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("kind", ["a file", "a link"])
def test_a_folder_takes_the_place_of_what_is_none(kind: str, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    if kind == "a file":
        target.touch()
    else:
        target.symlink_to(elsewhere)
    with atomic.atomic_folder(target) as temporary:
        (temporary / "new").touch()
    assert os.listdir(target) == ["new"] and sorted(os.listdir(tmp_path)) == ["elsewhere", "model"]
    assert os.listdir(elsewhere) == ["precious"]


@pytest.mark.parametrize("moment", ["within", "at the end"])
def test_a_folder_that_fails_leaves_the_old_one(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    replace, calls = os.replace, []

    def refuse_once(source: object, destination: object) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError("no room for names")
        replace(source, destination)  # type: ignore[arg-type]

    monkeypatch.setattr("minidisc_plugin.foundation.atomic.os.replace", refuse_once)
    with pytest.raises(OSError, match="no room"), atomic.atomic_folder(target) as temporary:
        (temporary / "new").touch()
        if moment == "within":
            raise OSError("no room")
    assert os.listdir(target) == ["old"] and os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("path", [".", "", "/", "..", "deep/.."])
def test_what_has_no_name_of_its_own_is_a_folder(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for begin in (atomic.atomic_path, atomic.atomic_folder):
        with pytest.raises(IsADirectoryError) as caught, begin(path):
            pytest.fail("the block was begun")
        refused = storage_error(caught.value)
        assert str(refused).endswith(
            "Is a directory; a folder is where a file should be: give another path, or remove it"
        )
        assert str(Path(path)) in str(refused)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_are_those_of_an_ordinary_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    atomic.write_text(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
