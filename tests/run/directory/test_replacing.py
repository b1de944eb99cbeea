"""A run that replaces another: the old one stays until the new one is whole, and nobody else's files are touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.directory.folder import RunDirectory
from tests.run.directory.making import INPUTS, begin, config_of, content, write

OLD = {"results.json": "old", "student/model": "old", "student/old only": "old", "assistant/model": "old"}
NEW = {"results.json": "new", "student/model": "new", "student/sub/new only": "new"}


class Killed(BaseException):
    """Stands for a kill: nothing handles it."""


def test_the_old_run_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD)
    begin(tmp_path / "out", NEW, overwrite=True, finish=False)
    kept = {name: text for name, text in content(tmp_path / "out").items() if not name.startswith("replacement/")}
    assert kept == OLD
    begin(tmp_path / "out", NEW, overwrite=True)
    assert content(tmp_path / "out") == NEW
    assert not (tmp_path / "out" / "replacement").exists() and not (tmp_path / "out" / "assistant").exists()


def test_an_unfinished_replacement_is_resumed(tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD)
    begin(tmp_path / "out", {"results.json": "new"}, overwrite=True, finish=False)
    directory, config = RunDirectory(tmp_path / "out"), config_of(tmp_path / "out")
    directory.check(config, overwrite=False, resume=True)
    assert not directory.same_run(config, INPUTS)
    with directory.opened(config, INPUTS, overwrite=False, resume=True):
        write(directory, {"student/model": "new"})
        directory.finish()
    assert content(tmp_path / "out") == {"results.json": "new", "student/model": "new"}


def test_a_swap_that_is_cut_off_anywhere_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every rename, removal of a file and removal of a folder."""
    tried = 0
    while True:
        place = tmp_path / str(tried)
        begin(place, OLD)
        (place / "student" / "mine").write_text("mine")
        (place / "student" / "model").write_text("tuned")
        (place / "assistant" / "model").write_text("tuned")
        left = [tried]

        def stop(real, left=left):
            def call(*args, **kwargs):
                if left[0] == 0:
                    left[0] = -1
                    raise Killed
                left[0] -= 1
                return real(*args, **kwargs)

            return call

        directory, config = RunDirectory(place), config_of(place)
        directory.check(config, overwrite=True, resume=False)
        with monkeypatch.context() as patch:
            try:
                with directory.opened(config, INPUTS, overwrite=True, resume=False):
                    write(directory, NEW)
                    (directory.checkpoints / "journal.json").write_text("{}")
                    for name in ("replace", "unlink", "rmdir"):
                        patch.setattr(os, name, stop(getattr(os, name)))
                    directory.finish()
            except Killed:
                pass
        again = RunDirectory(place)
        again.check(config, overwrite=False, resume=True)
        if again.same_run(config, INPUTS):
            again.settle(config)
            RunDirectory(place).verify()
            mine = {"student/mine": "mine", "student/model.kept-1": "tuned", "assistant/model.kept-1": "tuned"}
            assert content(place) == {**NEW, **mine}, tried
            assert sorted(path.name for path in place.iterdir()) == [
                "assistant",
                "config.resolved.yaml",
                "results.json",
                "run.json",
                "student",
            ]
        else:
            old = {**OLD, "student/model": "tuned", "assistant/model": "tuned"}
            assert {name: text for name, text in content(place).items() if name in OLD} == old, tried
        if left[0] >= 0:
            break
        tried += 1
    assert tried > 10


def test_files_of_nobody_stay(tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD)
    strange = {"student/train.csv": "mine", "notes.txt": "mine", "assistant/sub/mine": "mine", "checkpoints/a": "mine"}
    for name, text in strange.items():
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text(text)
    begin(tmp_path / "out", NEW, overwrite=True)
    assert content(tmp_path / "out") == {**NEW, **strange}


def test_a_file_of_nobody_in_the_way_is_kept_under_another_name(tmp_path: Path) -> None:
    begin(tmp_path / "out", {"results.json": "old"})
    (tmp_path / "out" / "student").write_text("mine")
    begin(tmp_path / "out", {"results.json": "new", "student/model": "new"}, overwrite=True)
    assert content(tmp_path / "out") == {"results.json": "new", "student/model": "new", "student.kept-1": "mine"}


@pytest.mark.parametrize("name", ["README.md", "student/model", "student/old only", "assistant/model"])
def test_what_somebody_changed_in_a_finished_run_is_kept_under_another_name(name: str, tmp_path: Path) -> None:
    begin(tmp_path / "out", {**OLD, "README.md": "old"})
    (tmp_path / "out" / name).write_text("mine")
    begin(tmp_path / "out", {**NEW, "README.md": "new"}, overwrite=True)
    assert content(tmp_path / "out") == {**NEW, "README.md": "new", f"{name}.kept-1": "mine"}


def test_what_the_run_itself_wrote_again_is_replaced(tmp_path: Path) -> None:
    directory = begin(tmp_path / "out", {"README.md": "old", "student/model": "old"}, finish=False)
    write(directory, {"README.md": "a better card"})
    directory.finish()
    begin(tmp_path / "out", {"README.md": "new"}, overwrite=True)
    assert content(tmp_path / "out") == {"README.md": "new"}


def test_a_file_of_a_run_that_was_cut_off_is_nobodys(tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD, finish=False)
    (tmp_path / "out" / "results.json").write_text("ol")
    begin(tmp_path / "out", NEW, overwrite=True)
    assert content(tmp_path / "out") == NEW


@pytest.mark.parametrize("name", [".tmp-notes", ".tmp-0123-notes", ".tmp-plot-mine-too"])
def test_a_temporary_file_of_somebody_stays(name: str, tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD)
    left = (".tmp-0123abcd-run.json", ".tmp-plot-ab_12345", ".tmp-inc-ab_12345")
    for one in (name, *left):
        (tmp_path / "out" / one).write_text("mine")
    begin(tmp_path / "out", NEW, overwrite=True)
    assert content(tmp_path / "out") == {**NEW, name: "mine"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).write_text("mine")
    with pytest.raises(RunDirectoryError, match="files that no run wrote"):
        begin(tmp_path / "other", OLD)


@pytest.mark.parametrize("what", ["student", "student/model", "checkpoints", "replacement"])
def test_links_are_replaced_and_never_followed(what: str, tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("model", "old only", "journal.json"):
        (elsewhere / name).write_text("mine")
    link = tmp_path / "out" / what
    if link.is_dir():
        os.rename(link, tmp_path / "moved")
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere / "model" if what == "student/model" else elsewhere)
    before = content_of(elsewhere)
    if what == "replacement":
        with pytest.raises(RunDirectoryError, match="files that no run wrote"):
            begin(tmp_path / "out", NEW, overwrite=True)
    else:
        begin(tmp_path / "out", NEW, overwrite=True)
        assert {name: text for name, text in content(tmp_path / "out").items() if name in NEW} == NEW
    assert content_of(elsewhere) == before


def content_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_that_is_written_again_keeps_what_somebody_put_there(tmp_path: Path) -> None:
    directory = begin(tmp_path / "out", {"student/model": "1", "student/index": "1"}, finish=False)
    (directory.student / "mine").write_text("mine")
    write(directory, {"student/model": "2"})
    assert content_of(directory.student) == {"model": "2", "mine": "mine"}


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    directory = begin(tmp_path / "out", {"student/model": "1"}, finish=False)
    with pytest.raises(Killed), directory.writing("student") as folder:
        folder.mkdir()
        (folder / "model").write_text("2")
        raise Killed
    directory.verify()
    assert content_of(directory.student) == {"model": "1"}


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_damaged_result_is_named(damage: str, tmp_path: Path) -> None:
    directory = begin(tmp_path / "out", OLD)
    file = tmp_path / "out" / "student" / "model"
    file.unlink() if damage == "missing" else file.write_text("0ld")
    with pytest.raises(RunDirectoryError, match=rf"student/model is {damage}; restore it, or repeat the run"):
        directory.verify()
    directory.verify("assistant")


@pytest.mark.parametrize("under", ["student-openvino", "studen", "student/models"])
def test_a_folder_of_which_nothing_is_recorded_is_missing(under: str, tmp_path: Path) -> None:
    directory = begin(tmp_path / "out", OLD)
    with pytest.raises(RunDirectoryError, match=rf"{under} is missing, for run\.json lists nothing in it; repeat"):
        directory.verify(under)


def test_what_people_edit_is_not_damaged(tmp_path: Path) -> None:
    directory = begin(tmp_path / "out", {**OLD, "README.md": "card"})
    (tmp_path / "out" / "README.md").write_text("a better card")
    directory.verify()


def test_a_run_that_was_finished_meanwhile_is_not_done_again(tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD, finish=False)
    second, config = RunDirectory(tmp_path / "out"), config_of(tmp_path / "out")
    second.check(config, overwrite=False, resume=True)
    first = RunDirectory(tmp_path / "out")
    first.check(config, overwrite=False, resume=True)
    with first.opened(config, INPUTS, overwrite=False, resume=True):
        first.finish()
    with (
        pytest.raises(RunDirectoryError, match="finished the run meanwhile"),
        second.opened(config, INPUTS, overwrite=False, resume=True),
    ):
        raise AssertionError
    assert content(tmp_path / "out") == OLD


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    begin(tmp_path / "out", OLD)
    valid = (tmp_path / "out" / "run.json").read_text()
    outside = valid.replace('"student/model"', '"../mine"'), valid.replace('"student/model"', '"/mine"')
    for text in ("", "{", "[]", '{"format": 2}', "null", *outside):
        (tmp_path / "out" / "run.json").write_text(text)
        for flags in ((False, False), (True, False), (False, True)):
            with pytest.raises(RunDirectoryError, match=r"run\.json is damaged") as caught:
                RunDirectory(tmp_path / "out").check(config_of(tmp_path / "out"), overwrite=flags[0], resume=flags[1])
            assert "\n" not in str(caught.value)
