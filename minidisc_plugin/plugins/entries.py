"""Entry points of a group, with the distribution that declares each; a damaged one hides no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions

from minidisc_plugin.plugins.foreign import described

_OURS = "minidisc-plugin"


@dataclass
class Entry:
    """One entry point.

    Attributes:
        name: Of the entry point; of the distribution where its entry points cannot be read.
        distribution: Name and version of what declares it.
        shipped: Whether that is this package.
        point: What loads it; None where it cannot be read.
        errors: Why it, or something that it registers, cannot be used.
    """

    name: str
    distribution: str
    shipped: bool = False
    point: EntryPoint | None = None
    errors: list[str] = field(default_factory=list)


def entries_of(group: str) -> list[Entry]:
    """The entry points of a group; ours first, then by name."""
    found: dict[str, list[Entry]] = {}
    for distribution in distributions():
        entries = list(_entries(distribution, group))
        if entries:
            # What is first on the path is what is imported; a package may lie there twice.
            found.setdefault(_normalised(entries[0].distribution.rpartition(" ")[0]), entries)
    return sorted(
        (entry for entries in found.values() for entry in entries), key=lambda entry: (not entry.shipped, entry.name)
    )


def _entries(distribution: Distribution, group: str) -> Iterator[Entry]:
    try:
        points = list(distribution.entry_points.select(group=group))
    except Exception as error:  # of whatever is installed, nothing is certain
        if group in _raw(distribution):
            label = _label(distribution)
            yield Entry(label, label, errors=[f"its entry points cannot be read ({described(error)})"])
        return
    for point in points:
        label = _label(distribution)
        yield Entry(point.name, label, _normalised(label.rpartition(" ")[0]) == _OURS, point)


def _raw(distribution: Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except Exception:  # not even text
        return ""


def _label(distribution: Distribution) -> str:
    try:
        return f"{distribution.metadata['Name'] or 'an unknown distribution'} {distribution.version}"
    except Exception:  # no metadata
        return "an unknown distribution"


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
