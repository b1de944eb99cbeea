"""Names that become files and folders: they stay where they are put, on any system."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from minidisc_plugin.foundation.errors import MinidiscError, PluginError
from minidisc_plugin.foundation.printable import shown

_LONGEST = 100
_NAME = re.compile(r"\w[\w .,+@=()\[\]-]*(?<![ .])")


def is_plain(name: object) -> bool:
    """Whether it can name one file: letters, digits and a little more, neither hidden nor leading elsewhere."""
    return isinstance(name, str) and len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def stays_inside(path: object) -> bool:
    """Whether it is a relative path of such names; one of a folder may end with a slash."""
    if not isinstance(path, str):
        return False
    return all(map(is_plain, path.removesuffix("/").split("/"))) and not PurePosixPath(path).is_absolute()


def inside(folder: Path, name: str, what: str, error: type[MinidiscError] = PluginError) -> Path:
    """The path of a name in a folder.

    Args:
        folder: Where it is to be.
        name: One name, without slashes.
        what: What it names, for the message.
        error: What to raise.

    Raises:
        MinidiscError: it would lie elsewhere, or could not be made.
    """
    if not is_plain(name):
        raise error(f"{what} {shown(name)} cannot name a folder in {folder}: give letters, digits, '-' and '_'")
    return folder / name
