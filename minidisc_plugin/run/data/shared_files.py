"""Files that two splits share, or that are copies of each other: said before anything is trained on them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path

from minidisc_plugin.foundation.digests import sha256_of
from minidisc_plugin.run.data.splits import Chosen

logger = logging.getLogger(__name__)

_TOO_GOOD = "the metric will look better than it is"
_SELECTING = "what is set apart of it to choose the assistant by is trained on"
# Of a folder of images thousands may be shared; so many are named.
_NAMED = 3


def warn_of_shared_files(chosen: Chosen, files: Mapping[str, Sequence[str]]) -> None:
    """Say so where splits that should have nothing in common share a file or copies of one, and where one has copies.

    Args:
        chosen: Which split does what.
        files: Of each split.
    """
    uses = [
        (chosen.train, "is trained on"),
        (chosen.unlabelled, "is trained on"),
        (chosen.validation, "stops training"),
        (chosen.report, "is reported"),
    ]
    given = [(name, use, list(map(str, files.get(name or "", ())))) for name, use in uses]
    contents = _contents(file for _, _, listed in given for file in listed)
    for name, use, listed in given:
        more = f", and {_SELECTING}" if name == chosen.train else ""
        _say(
            f"{first} and its copy {other} are both of split {name!r}, which {use}: each example counts twice{more}"
            for first, other in _copies(listed, contents)
        )
    for (name, use, listed), (other_name, other_use, others) in combinations(given, 2):
        alike = {contents[file]: file for file in others}
        worse = _SELECTING if other_name == chosen.unlabelled else _TOO_GOOD
        _say(
            f"{file} {use} as split {name!r}, and {_copy(file, other)}{other_use} as split {other_name!r}: {worse}"
            for file in listed
            if (other := alike.get(contents[file])) is not None
        )


def _copy(file: str, other: str) -> str:
    return "" if file == other else f"a copy, {other}, "


def _say(problems: Iterable[str]) -> None:
    problems = iter(problems)
    for problem in islice(problems, _NAMED):
        logger.warning("dataset.data_files: %s", problem)
    if left := sum(1 for _ in problems):
        logger.warning("dataset.data_files: ... and %d more files of which the same is true", left)


def _contents(files: Iterable[str]) -> dict[str, str]:
    """What tells the content of each file: equal for equal files. Those whose size no other has are not read."""
    distinct = dict.fromkeys(files)
    sizes = {file: Path(file).stat().st_size for file in distinct if Path(file).is_file()}
    several = Counter(sizes.values())
    return {file: sha256_of(Path(file)) if several[sizes.get(file, -1)] > 1 else file for file in distinct}


def _copies(files: Sequence[str], contents: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Files of a split that are copies of one before."""
    first: dict[str, str] = {}
    for file in files:
        before = first.setdefault(contents[file], file)
        if before != file:
            yield before, file
