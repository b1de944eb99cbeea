"""The table of passes: Olive's own with ours in it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from minidisc_plugin.cli import main

HAS_OLIVE = importlib.util.find_spec("olive") is not None
needs_olive = pytest.mark.skipif(not HAS_OLIVE, reason="needs olive-ai")


@pytest.mark.skipif(HAS_OLIVE, reason="Olive is there")
def test_without_olive_it_says_in_a_line_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["olive-package"]) == 2
    printed = capsys.readouterr()
    assert re.fullmatch(r'minidisc: .*Olive.*olive-ai is missing.*pip install "olive-ai>=0\.13"\n', printed.err)
    assert not printed.out


@needs_olive
def test_olive_takes_the_table_and_finds_its_passes_and_ours(capsys: pytest.CaptureFixture[str]) -> None:
    from olive.package_config import OlivePackageConfig

    from minidisc_plugin.olive.compression import MiniDisc

    assert main(["olive-package"]) == 0
    ours = OlivePackageConfig.model_validate(json.loads(capsys.readouterr().out))
    own = OlivePackageConfig.load_default_config()
    assert len(own.passes) > 50
    assert {name: ours.passes[name] for name in own.passes} == own.passes
    assert ours.passes.keys() - own.passes.keys() == {"minidisc"}
    assert ours.extra_dependencies == own.extra_dependencies
    assert ours.import_pass_module("MiniDisc".lower()) is MiniDisc


@needs_olive
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "package.json"
    file.write_text("of another release", encoding="utf-8")
    assert main(["olive-package", "--out", str(file)]) == 0
    assert not capsys.readouterr().out
    assert "MiniDisc" in json.loads(file.read_text(encoding="utf-8"))["passes"]
    assert [path.name for path in tmp_path.iterdir()] == ["package.json"]

    assert main(["olive-package", "--out", str(tmp_path / "missing" / "package.json")]) == 2
    assert "missing" in capsys.readouterr().err


@pytest.mark.parametrize("out", [".", "", "/", "deep"])
def test_a_folder_is_no_file_to_write_to(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["olive-package", "--out", out]) == 2
    assert capsys.readouterr().err == f"minidisc: --out: {out or '.'} is a folder; give a file\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["deep"]


def test_help_shows_the_two_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["olive-package", "--help"])
    printed = capsys.readouterr().out
    assert "minidisc olive-package --out package.json" in printed
    assert "olive run --config workflow.json --package-config package.json" in printed
