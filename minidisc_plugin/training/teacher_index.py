"""What a finished cache says of itself, and whether its files are still what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from minidisc_plugin.foundation.digests import sha256_of
from minidisc_plugin.training.teacher_arrays import Layout
from minidisc_plugin.training.teacher_cache import file_of

FORMAT = 2
INDEX = "index.json"
"""Written last, when everything else is on the disk."""

# Files whose checksums this process has compared: path, inode, size and time of the last change.
_verified: set[tuple[object, ...]] = set()


def write_index(file: BinaryIO, folder: Path, layout: Layout) -> None:
    """Write the index of a folder whose files are on the disk."""
    digests = {array.name: sha256_of(file_of(folder, array)) for array in layout.arrays}
    file.write(json.dumps({**_description(layout), "sha256": digests}).encode())
    file.flush()
    os.fsync(file.fileno())
    _verified.update(_state(file_of(folder, array)) for array in layout.arrays)


def damage(folder: Path, layout: Layout) -> str | None:
    """What is wrong with a cache that should hold a layout, with the file's name; None where it can be used.

    Checksums are compared when this process looks at the files for the first time.
    """
    try:
        index = json.loads((folder / INDEX).read_bytes())
        digests = index.pop("sha256")
        if index != _description(layout) or digests.keys() != {array.name for array in layout.arrays}:
            return f"{folder / INDEX} describes something else"
    except FileNotFoundError:
        return f"{folder / INDEX} is missing"
    except OSError as error:
        return f"{folder / INDEX} cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{folder / INDEX} is damaged"
    for array in layout.arrays:
        file = file_of(folder, array)
        try:
            size = file.stat().st_size
            if size != layout.size(array):
                return f"{file} has {size:,} bytes in place of {layout.size(array):,}"
            state = _state(file)
            if state not in _verified and sha256_of(file) != digests[array.name]:
                return f"{file} is damaged"
            _verified.add(state)
        except FileNotFoundError:
            return f"{file} is missing"
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
    return None


def _description(layout: Layout) -> dict[str, Any]:
    """A layout as JSON gives it back."""
    described: dict[str, Any] = json.loads(json.dumps([vars(array) for array in layout.arrays]))
    return {"format": FORMAT, "arrays": described, "lengths": layout.lengths}


def _state(file: Path) -> tuple[object, ...]:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
