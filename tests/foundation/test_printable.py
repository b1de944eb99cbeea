"""Text from elsewhere on a terminal: nothing acts, nothing is lost."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from minidisc_plugin.cli import main
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.printable import one_line, printable, shortened, shown
from minidisc_plugin.plugins import FoundPlugin
from minidisc_plugin.run.reporting.plugin_table import print_plugins

RED = "\x1b[31mred"
ACTING = "\x1b[31m\x07\x08\r\n\t\0\x7f\x9b\u202e\u2028\ud800"


@given(st.text(st.characters()))
def test_nothing_acts_on_the_terminal(text: str) -> None:
    for found in (printable(text), one_line(text)):
        found.encode("utf-8")
        assert not {unicodedata.category(character) for character in found} & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("text", ["plain", "größe", "файл", "数据\u3000集", "👩\u200d💻", "a\u00a0b", "C:\\x1b"])
def test_text_of_any_language_stays(text: str) -> None:
    assert printable(text) == text == one_line(text)


def test_a_line() -> None:
    assert one_line("  first\n  second\r\nthird\tfourth\x1b[0m ") == "first second third fourth\\x1b[0m"


def test_values() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown("a\x1b'") == '"a\\x1b\'"'
    assert shown(Broken()) == "<Broken>"
    assert shown("a") == "'a'" and shown(2**31) == "2147483648"
    assert shown(16**5000) == "a int too large to be written"
    assert len(shown("x" * 10_000)) < 200 and shown("x" * 10_000).endswith("(10002 characters)")
    assert shortened("y" * 10_000, 5) == "yyyyy... (10000 characters)"


def test_errors_are_one_printable_line() -> None:
    message = str(ConfigError(f"model: {ACTING} cannot be used"))
    assert message == "model: \\x1b[31m\\x07\\x08 \\x00\\x7f\\x9b\\u202e \\ud800 cannot be used"


@pytest.mark.parametrize(
    "arguments",
    [["run", "\x1b[31mred.yaml"], ["report", "\x1b[31mred"], ["run", "x", "--\x1b[31mred"], ["\x1b[31mred"]],
)
def test_arguments_are_named_without_acting(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = int(str(stopped.code))
    printed = capsys.readouterr()
    assert status == 2
    assert "\\x1b[31mred" in printed.err and "\x1b" not in printed.err + printed.out


def test_tables_do_not_act() -> None:
    out = io.StringIO()
    print_plugins(
        [FoundPlugin("\x1b[31mred", "d\x07 [bold]1", ("\x1b]0;t",), "e\x1b[2J")], Console(file=out, width=120)
    )
    assert "\x1b" not in out.getvalue() and "\x07" not in out.getvalue()
    assert "\\x1b[31mred" in out.getvalue() and "[bold]1" in out.getvalue()
