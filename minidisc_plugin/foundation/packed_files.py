"""Data files, packed or not, as streams of bytes; what is inside of an archive is named by both names."""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from minidisc_plugin.foundation.errors import DataError

# By the bytes that such a file begins with, as `datasets` tells them.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_ZIP = b"PK\x03\x04"
_OTHERS = (".7z", ".rar", ".tar", ".tgz")
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@dataclass(frozen=True)
class DataFile:
    """One file.

    Attributes:
        shown: What messages call it.
        path: Where it, or the archive that holds it, lies.
        member: Its name inside of a zip archive.
    """

    shown: str
    path: Path
    member: str | None = None

    @property
    def packed(self) -> bool:
        """Whether it is part of an archive, or compressed."""
        return self.member is not None or _compression(self.path) is not None

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked.

        Raises:
            DataError: what it is packed in is damaged.
        """
        try:
            if self.member is not None:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                    yield file
                return
            import fsspec

            packed = _compression(self.path)
            if packed is not None and packed not in fsspec.available_compressions():
                raise _unreadable(self.shown)
            with fsspec.filesystem("file").open(str(self.path), "rb", compression=packed) as file:
                yield file
        except _DAMAGE as error:
            raise _damaged(self.shown, error) from error


def packed_in(path: Path, shown: str) -> list[DataFile]:
    """The files that a path stands for: itself, or those of a zip archive.

    Args:
        path: Of a file that is there.
        shown: What messages call it.

    Raises:
        DataError: it is packed in a way that cannot be read row by row.
    """
    if any(suffix.lower() in _OTHERS for suffix in Path(shown).suffixes[-2:]):
        raise _unreadable(shown)
    if not _start(path).startswith(_ZIP):
        return [DataFile(shown, path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                entry.filename for entry in archive.infolist() if not entry.is_dir() and not _hidden(entry.filename)
            ]
    except zipfile.BadZipFile as error:
        raise _damaged(shown, error) from error
    return [DataFile(f"{shown} ({name})", path, name) for name in names]


def _hidden(name: str) -> bool:
    """Whether `datasets` passes over a file of an archive, such as those that macOS adds."""
    return any(part.startswith((".", "__")) for part in Path(name).parts)


def _compression(path: Path) -> str | None:
    start = _start(path)
    return next((packed for mark, packed in _PACKED.items() if start.startswith(mark)), None)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


def _unreadable(shown: str) -> DataError:
    return DataError(f"dataset.data_files: {shown} is packed in a way that is not read here; unpack it, or use gzip")


def _damaged(shown: str, error: BaseException) -> DataError:
    return DataError(f"dataset.data_files: {shown} is damaged and cannot be unpacked ({error}); pack it anew")
