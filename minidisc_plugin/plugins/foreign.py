"""Calls of third parties' code: whatever they raise is caught, and they leave the process as they found it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TextIO

from minidisc_plugin.foundation.errors import MinidiscError, PluginError
from minidisc_plugin.foundation.printable import one_line, shortened
from minidisc_plugin.foundation.redaction import masked
from minidisc_plugin.foundation.storage import storage_error
from minidisc_plugin.plugins.process_state import kept_process_state

_LONGEST_REASON = 300


class Caught:
    """A block that may raise anything; afterwards `error` and `reason` tell what it was.

    Only a Ctrl-C of the user's goes through: one that came as a signal, while a plug-in can raise KeyboardInterrupt
    by itself. Standard streams, the working directory and what `process_state` names are put back where the block
    changed or closed them.

    Args:
        quiet: What the block prints goes to standard error, for standard output belongs to the report.
        chance: Random number generators are put back, too.

    Attributes:
        error: What was raised.
        reason: The same in one line.
    """

    def __init__(self, *, quiet: bool = False, chance: bool = False) -> None:
        self.error: BaseException | None = None
        self.reason: str | None = None
        self._interrupts = _Interrupts()
        self._process = _KeptProcess(quiet)
        self._state = kept_process_state(chance=chance)

    def __enter__(self) -> Caught:
        self._interrupts.watch()
        self._process.keep()
        self._state.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._state.__exit__(None, None, None)
        self._process.put_back()
        stopped = self._interrupts.stop_watching()
        if stopped and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from error  # the block took it for its own
        if error is None or (stopped and isinstance(error, KeyboardInterrupt)):
            return False
        self.error, self.reason = error, described(error)
        return True


@contextmanager
def calling(owner: str, doing: str, failed: type[PluginError] = PluginError) -> Iterator[None]:
    """Run a plug-in's code in the block.

    Args:
        owner: The plug-in, for the message.
        doing: What it was asked to do, likewise.
        failed: What is raised when it fails.

    Raises:
        MinidiscError: one that the code raised on purpose.
        PluginError: names the plug-in and what else it raised.
    """
    with Caught() as caught:
        yield
    if caught.error is not None:
        told = blamed(owner, doing, caught.error, failed)
        if told is caught.error:
            raise told
        raise told from caught.error


def blamed(owner: str, doing: str, error: BaseException, failed: type[PluginError] = PluginError) -> MinidiscError:
    """What is raised for something that a plug-in's code raised; see `calling`."""
    if isinstance(error, PluginError) and not str(error).startswith("plug-in "):
        return type(error)(f"plug-in {owner}: {error}")
    if isinstance(error, MinidiscError):
        return error
    return failed(f"plug-in {owner}: {doing} failed: {storage_error(error) or described(error)}")


def described(error: BaseException) -> str:
    """Kind and message of an error of whoever's, in one line."""
    kind = type(error).__name__
    try:
        message = str(error)
    except BaseException:  # the message is a plug-in's code, too
        return f"{kind}, whose message cannot be read"
    first = next((line for line in message.splitlines() if line.strip()), "")
    return shortened(one_line(masked(f"{kind}: {first}" if first else kind)), _LONGEST_REASON)


class _Interrupts:
    """Tells whether a Ctrl-C came during a block."""

    def __init__(self) -> None:
        self._came = False
        self._before: Any = None

    def watch(self) -> None:
        """Begin."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            return  # signals come to the main thread only

        def note(number: int, frame: Any) -> Any:
            self._came = True
            return before(number, frame)

        self._before = before
        signal.signal(signal.SIGINT, note)

    def stop_watching(self) -> bool:
        """Whether one came that Python turns into a KeyboardInterrupt; the handler is put back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        return self._came


class _KeptProcess:
    """Standard streams and working directory, put back at the end of a block."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def keep(self) -> None:
        """Begin."""
        self._folder = _working_directory()
        self._streams = (sys.stdout, sys.stderr)
        self._own = (sys.__stdout__, sys.__stderr__)
        self._descriptors = {number: _duplicate(number) for number in (1, 2)}
        if not self._quiet:
            return
        _flush(self._own[0])
        if None not in self._descriptors.values():
            os.dup2(2, 1)
        sys.stdout = _StandardError()

    def put_back(self) -> None:
        """End."""
        if self._quiet and _is_open(self._own[0]):
            _flush(self._own[0])
        for number, duplicate in self._descriptors.items():
            if duplicate is not None:
                if not _same_file(number, duplicate):
                    os.dup2(duplicate, number)
                os.close(duplicate)
        for stream, name, number in (
            *zip(self._streams, ("stdout", "stderr"), (1, 2), strict=True),
            *zip(self._own, ("__stdout__", "__stderr__"), (1, 2), strict=True),
        ):
            setattr(sys, name, _reopened(stream, number))
        if self._folder is not None and _working_directory() != self._folder:
            with suppress(OSError):  # it was removed meanwhile
                os.chdir(self._folder)


class _StandardError:
    """Standard output while a plug-in registers; it cannot be closed."""

    encoding = "utf-8"
    errors = "backslashreplace"
    closed = False

    def write(self, text: str) -> int:
        """Print to standard error, whichever that is now."""
        if _is_open(sys.stderr):
            sys.stderr.write(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Print each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """As a stream."""
        _flush(sys.stderr)

    def close(self) -> None:
        """Stay open, for it is everybody's."""

    def isatty(self) -> bool:
        """As a stream."""
        return False

    def writable(self) -> bool:
        """As a stream."""
        return True


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _duplicate(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError:  # the user closed it
        return None


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False


def _is_open(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed


def _flush(stream: TextIO | None) -> None:
    if _is_open(stream):
        with suppress(OSError, ValueError):
            stream.flush()  # type: ignore[union-attr]


def _reopened(stream: TextIO | None, number: int) -> TextIO | None:
    """The stream, or a new one on its descriptor where it was closed."""
    if stream is None or not stream.closed:
        return stream
    try:
        return open(number, "w", encoding=stream.encoding, errors=stream.errors, closefd=False)
    except OSError:
        return stream
