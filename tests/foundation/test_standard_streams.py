"""A command whose output goes nowhere: quiet where the reader has had enough, one line where it is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = ["--help", "doctor"]
LOST = "minidisc: standard output: No space left on device; send it elsewhere\n"
CLOSED = "minidisc: standard output is closed; send it to a file or to /dev/null\n"


def shell(arguments: str, redirection: str, buffered: bool = True) -> tuple[int, str]:
    """Exit status, and what standard error says, of the command line behind a redirection or a pipe."""
    command = f"'{sys.executable}' {'' if buffered else '-u'} -m minidisc_plugin.cli {arguments} {redirection}"
    done = subprocess.run(
        ["bash", "-c", f'{command}; exit "${{PIPESTATUS[0]}}"'], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_who_has_had_enough(command: str, buffered: bool) -> None:
    assert shell(command, "| true", buffered) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_is_lost(command: str) -> None:
    assert shell(command, "> /dev/full") == (1, LOST)
    assert shell(command, ">&-") == (1, CLOSED)


@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-"])
def test_a_standard_error_that_nobody_hears(redirection: str) -> None:
    assert shell("--help", redirection)[0] == 0
    assert shell("run no-such-file", redirection)[0] == 2
