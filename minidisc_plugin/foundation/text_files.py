"""Text files of a dataset, read ahead of the loader: what is no text in the encoding given is named by its line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import DataError

_BLOCK = 2**24
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".tar", ".7z")


def plain_files(config: Any) -> Iterator[tuple[str, Path]]:
    """Split and path of every file of a loader that lies on this machine and is not compressed."""
    for split, files in (config.data_files or {}).items():
        for file in files:
            path = Path(str(file))
            if path.suffix.lower() not in _COMPRESSED and path.is_file():
                yield str(split), path


def encoding_of(options: Mapping[str, Any]) -> str:
    """The encoding that options ask for."""
    return str(options.get("encoding") or "utf-8")


def check_encoding(config: Any, options: Mapping[str, Any]) -> None:
    """Refuse files that are not in the encoding given, and such that hold zero bytes, at which readers stop.

    Args:
        config: Of a loader; one without an encoding reads no text.
        options: Of the user.

    Raises:
        DataError: names the file, the line and an encoding to try.
    """
    if not hasattr(config, "encoding") or options.get("encoding_errors") not in (None, "strict"):
        return
    encoding = encoding_of(options)
    try:
        wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    except LookupError:
        raise DataError(
            f"dataset.options.encoding: {encoding!r} is no encoding; give one such as utf-8 or latin-1"
        ) from None
    for _, path in plain_files(config):
        _check_file(path, encoding, zeros=wide)


def _check_file(path: Path, encoding: str, zeros: bool) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as file:
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


def _refusal(path: Path, line: int, encoding: str, mark: str | None, error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    other = "latin-1" if codecs.lookup(encoding).name == "utf-8" else "utf-8"
    return f"dataset.data_files: {path} is not in {encoding} (byte 0x{byte:02x} in line {line}); " + _advice(
        mark or other
    )


def _advice(encoding: str) -> str:
    more = " or cp1252" if encoding == "latin-1" else ""
    return f"set dataset.options.encoding to its own, such as {encoding}{more}"
