"""What a route demands of one package, and what an installed version is worth to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from packaging.version import InvalidVersion, Version

Verdict = Literal["ok", "missing", "too old", "too new", "unreadable"]


@dataclass(frozen=True)
class Rule:
    """One demand: low <= version < below, either bound open if None.

    Attributes:
        package: The distribution.
        low: Oldest release that works.
        below: Oldest release that works no longer.
        why: For people, where it is not obvious.
        pin: What to install; made of the bounds if empty.
        optional: Only judged where it is installed.
        namesakes: Other distributions of the same modules.
    """

    package: str
    low: str | None = None
    below: str | None = None
    why: str = ""
    pin: str = ""
    optional: bool = False
    namesakes: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """A pip requirement."""
        bounds = ([f">={self.low}"] if self.low else []) + ([f"<{self.below}"] if self.below else [])
        return self.pin or self.package + ",".join(bounds)

    def as_installed(self, versions: Mapping[str, str]) -> Rule:
        """The same demand of the namesake that is installed where the package is not; advice would else install both.

        Args:
            versions: By canonical name.
        """
        if self.package in versions:
            return self
        return replace(self, package=next((name for name in self.namesakes if name in versions), self.package))

    def judge(self, version: str | None) -> Verdict:
        """What the installed version is worth; None where it is not installed."""
        if version is None:
            return "ok" if self.optional else "missing"
        try:
            release = Version(Version(version).base_version)  # 3.8rc1 counts as 3.8, 2.4.0a0+git as 2.4.0
        except InvalidVersion:
            return "unreadable"
        if self.low and release < Version(self.low):
            return "too old"
        return "too new" if self.below and release >= Version(self.below) else "ok"


@dataclass(frozen=True)
class Route:
    """One way to have a capability.

    Attributes:
        name: For the code, as in `trainer: inc`.
        said: For people.
        rules: All of them must hold.
    """

    name: str
    said: str
    rules: tuple[Rule, ...]
