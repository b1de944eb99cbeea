"""Batches with an equal share of every domain, of an objective that weighs domains."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from minidisc_plugin.contracts.objective import DOMAIN
from minidisc_plugin.foundation.errors import DataError


def domains_of(examples: Any) -> list[int]:
    """The domain of each example.

    Raises:
        DataError: examples have none, or not by number.
    """
    found = list(examples[DOMAIN]) if DOMAIN in getattr(examples, "column_names", ()) else []
    if not found or not all(isinstance(number, int) and number >= 0 for number in found):
        raise DataError(
            f"the objective weighs domains, and no column {DOMAIN!r} of the examples has the number of each one's, "
            "from 0; add it"
        )
    return found


def domain_batches(
    domains: Sequence[int],
    size: int,
    count: int,
    chance: random.Random,
    lengths: Sequence[int] | None = None,
    group: int = 1,
) -> list[list[int]]:
    """Batches of `size` examples, each with an equal share of every domain; one that has all been seen comes again.

    Args:
        domains: Of each example.
        size: Of a batch; what is left after equal shares goes to each domain in turn.
        count: How many batches.
        chance: Decides on the order.
        lengths: Tokens of each example: batches are made of examples of similar length; None leaves it to chance.
        group: So many batches in a row share their examples by length.
    """
    kinds = sorted(set(domains))
    streams = {kind: _endless([place for place, one in enumerate(domains) if one == kind], chance) for kind in kinds}
    shares = [_shares(kinds, size, number) for number in range(count)]
    found: list[list[int]] = []
    for start in range(0, count, group):
        mine = shares[start : start + group]
        columns = []
        for kind in kinds:
            drawn = list(islice(streams[kind], sum(share[kind] for share in mine)))
            if lengths is not None:
                drawn.sort(key=lengths.__getitem__, reverse=True)
            rest = iter(drawn)
            columns.append([list(islice(rest, share[kind])) for share in mine])
        # Domain after domain: processes take every n-th example, and so each takes of each that has n.
        batches = [list(chain(*parts)) for parts in zip(*columns, strict=True)]
        chance.shuffle(batches)
        found += batches
    return found


def _shares(kinds: Sequence[int], size: int, number: int) -> dict[int, int]:
    """How many examples of each domain the batch of a number has."""
    equal, left = divmod(size, len(kinds))
    favoured = {(number * left + place) % len(kinds) for place in range(left)}
    return {kind: equal + (place in favoured) for place, kind in enumerate(kinds)}


def _endless(places: list[int], chance: random.Random) -> Iterator[int]:
    while True:
        order = list(places)
        chance.shuffle(order)
        yield from order
