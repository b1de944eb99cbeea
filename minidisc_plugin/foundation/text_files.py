"""Text files of a dataset, read ahead of the loader: what is no text in the encoding given is named by its line."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Any

from minidisc_plugin.foundation.errors import DataError
from minidisc_plugin.foundation.packed_files import DataFile

_BLOCK = 2**24
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(options: Mapping[str, Any]) -> str:
    """The encoding that options ask for."""
    return str(options.get("encoding") or "utf-8")


def check_encoding(files: Iterable[DataFile], options: Mapping[str, Any]) -> None:
    """Refuse files that are not in the encoding given, and such that hold zero bytes, at which readers stop.

    Args:
        files: Of a loader of text.
        options: Of the user.

    Raises:
        DataError: names the file, the line and an encoding to try.
    """
    encoding = encoding_of(options)
    try:
        found = codecs.lookup(encoding)
        if not getattr(found, "_is_text_encoding", True):
            raise LookupError
    except LookupError:
        raise DataError(
            f"dataset.options.encoding: {encoding!r} is no encoding; give one such as utf-8 or latin-1"
        ) from None
    if options.get("encoding_errors") in (None, "strict"):
        for file in files:
            _check_file(file, encoding, zeros=found.name.startswith(("utf-16", "utf-32")))


def _check_file(text: DataFile, encoding: str, zeros: bool) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    path = text.shown
    with text.opened() as file:
        first = True
        while block := file.read(_BLOCK):
            mark = next((name for mark, name in _MARKS.items() if first and block.startswith(mark)), None)
            first = False
            if not zeros and b"\0" in block:
                line += block[: block.index(b"\0")].count(b"\n")
                raise DataError(
                    f"dataset.data_files: {path} holds a zero byte in line {line}, so it is damaged or no text; "
                    + _advice(mark or "utf-16")
                )
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                line += error.object[: error.start].count(b"\n")
                raise DataError(_refusal(path, line, encoding, mark, error)) from error
            line += block.count(b"\n")
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise DataError(_refusal(path, line, encoding, None, error)) from error


def _refusal(path: str, line: int, encoding: str, mark: str | None, error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    other = "latin-1" if codecs.lookup(encoding).name == "utf-8" else "utf-8"
    return f"dataset.data_files: {path} is not in {encoding} (byte 0x{byte:02x} in line {line}); " + _advice(
        mark or other
    )


def _advice(encoding: str) -> str:
    more = " or cp1252" if encoding == "latin-1" else ""
    return f"set dataset.options.encoding to its own, such as {encoding}{more}"
