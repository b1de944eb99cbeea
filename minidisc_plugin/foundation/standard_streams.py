"""Standard output and error of a command: what happens where one is closed, full, or read by nobody any more."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from minidisc_plugin.foundation.printable import one_line


class OutputError(Exception):
    """Standard output takes nothing."""

    def tell(self) -> int:
        """Say so in one line, but for a reader who has had enough (`| head`); gives the exit status."""
        if isinstance(self.__cause__, BrokenPipeError):
            return 0
        say(str(self))
        return 1


def say(line: str) -> None:
    """A line on standard error, if anyone can hear it."""
    if sys.stderr is not None:
        print(f"minidisc: {one_line(line)}", file=_watched(sys.stderr, quiet=True), flush=True)


@contextmanager
def checked_output() -> Iterator[None]:
    """Inside, and on leaving, a standard output that takes nothing raises OutputError.

    A standard error that takes nothing is passed over: hours of training do not end for want of a progress bar.
    """
    if sys.stderr is None:  # `print` would take standard output in its place
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    before = sys.stdout, sys.stderr
    sys.stderr = _watched(sys.stderr, quiet=True)
    try:
        if sys.stdout is None:
            raise OutputError("standard output is closed; send it to a file or to /dev/null")
        sys.stdout = _watched(sys.stdout, quiet=False)
        try:
            yield
        finally:
            sys.stdout.flush()  # an error is raised here, and not when the interpreter has left
    finally:
        sys.stdout, sys.stderr = before


class _Watched(io.FileIO):
    """A standard stream that was found to take nothing takes, and loses, everything from then on."""

    def __init__(self, descriptor: int, quiet: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.quiet = quiet
        self.failed = False

    def write(self, data: Any, /) -> int:
        if self.failed:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self.failed = True
            if self.quiet:
                return len(data)
            raise OutputError(f"standard output: {error.strerror}; send it elsewhere") from error


def _watched(stream: TextIO, quiet: bool) -> TextIO:
    """A stream like a given one; one that stands for another already, as in a notebook, is left alone."""
    held = getattr(stream, "buffer", None)
    raw = getattr(held, "raw", held)  # PYTHONUNBUFFERED leaves the buffer out
    if type(stream) is not io.TextIOWrapper or type(raw) is not io.FileIO:
        return stream
    with suppress(OSError):
        stream.flush()
    watched = _Watched(raw.fileno(), quiet)
    return io.TextIOWrapper(
        watched if held is raw else io.BufferedWriter(watched),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
