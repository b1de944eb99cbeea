"""Say which capabilities the installed versions offer, by which routes, and what to install for the rest.

Reads version numbers only; it imports none of the packages it judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from packaging.utils import canonicalize_name

from minidisc_plugin.integrations.requirements.routes import ROUTES, Capability
from minidisc_plugin.integrations.requirements.rules import Route, Rule, Verdict


@dataclass(frozen=True)
class Fault:
    """What of a route does not hold: the rule, and the version that was found."""

    rule: Rule
    version: str | None
    verdict: Verdict

    @property
    def said(self) -> str:
        """For people, with the reason."""
        package = self.rule.package
        found = f"{package} {self.version} is {self.verdict}" if self.version else f"{package} is missing"
        return found + (f": {self.rule.why}" if self.rule.why else "")


@dataclass(frozen=True)
class Row:
    """What the doctor says of one package.

    Attributes:
        package: The distribution.
        version: None where it is not installed.
        verdict: "ok" where it stands in the way of nothing.
        remedy: A pip requirement; None where nothing is wrong.
        blocks: The capabilities it stands in the way of.
        why: A sentence for people.
    """

    package: str
    version: str | None
    verdict: Verdict
    remedy: str | None = None
    blocks: tuple[Capability, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What works, and what would make the rest work.

    Attributes:
        rows: One for each package that the routes in use, or the nearest ones, need.
        routes: Of each capability the routes that work, in the order in which they are taken.
        pins: Of each capability that does not work, the pip requirements of the nearest route.
        apart: Capabilities that do not work and whose pins change installed versions, with which other things work.
    """

    rows: tuple[Row, ...]
    routes: Mapping[Capability, tuple[Route, ...]]
    pins: Mapping[Capability, tuple[str, ...]]
    apart: frozenset[Capability] = frozenset()

    @property
    def works(self) -> Mapping[Capability, bool]:
        """Whether any route to a capability does."""
        return {capability: bool(routes) for capability, routes in self.routes.items()}

    def row(self, package: str) -> Row:
        """Give the row of a package; KeyError if it has none."""
        for row in self.rows:
            if row.package == canonicalize_name(package):
                return row
        raise KeyError(package)


@cache
def installed_versions() -> Mapping[str, str]:
    """List the installed distributions, name -> version, first on the path first; nameless ones left out.

    Read once in a process: every file of metadata is parsed, and what is imported stays what it is.
    """
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            versions.setdefault(canonicalize_name(name), distribution.version)
    return versions


def diagnose(installed: Mapping[str, str] | None = None) -> Diagnosis:
    """Judge a set of installed versions.

    Args:
        installed: distribution name -> version, names in any spelling; the running environment by default.

    Returns:
        The diagnosis; nothing is imported and nothing is raised for what is missing.
    """
    versions = by_name(installed_versions() if installed is None else installed)
    core = faults_of(ROUTES["core"], versions)
    working: dict[Capability, tuple[Route, ...]] = {}
    pins: dict[Capability, tuple[str, ...]] = {}
    shown: list[tuple[Capability, Route]] = []
    apart: set[Capability] = set()
    for capability, routes in ROUTES.items():
        working[capability] = tuple(route for route in routes if not core and not _faults(route, versions))
        if working[capability]:
            pins[capability] = ()
            shown += [(capability, route) for route in working[capability]]
        else:
            faults = core if capability == "core" else [*core, *faults_of(routes, versions)]
            pins[capability] = tuple(dict.fromkeys(fault.rule.remedy for fault in faults))
            shown.append((capability, nearest(routes, versions)))
            if any(fault.version for fault in faults):
                apart.add(capability)
    return Diagnosis(_rows(shown, versions), working, pins, frozenset(apart))


def by_name(versions: Mapping[str, str]) -> dict[str, str]:
    """Versions under the canonical names of their distributions."""
    return {str(canonicalize_name(name)): version for name, version in versions.items()}


def nearest(routes: Iterable[Route], versions: Mapping[str, str]) -> Route:
    """The route that changes least: fewest installed versions first, then fewest requirements to add."""

    def cost(route: Route) -> tuple[int, int]:
        faults = _faults(route, versions)
        return sum(fault.version is not None for fault in faults), len({fault.rule.remedy for fault in faults})

    return min(routes, key=cost)


def faults_of(routes: Iterable[Route], versions: Mapping[str, str]) -> list[Fault]:
    """What of the nearest route does not hold."""
    return _faults(nearest(routes, versions), versions)


def _faults(route: Route, versions: Mapping[str, str]) -> list[Fault]:
    rules = [rule.as_installed(versions) for rule in route.rules]
    judged = [Fault(rule, versions.get(rule.package), rule.judge(versions.get(rule.package))) for rule in rules]
    return [fault for fault in judged if fault.verdict != "ok"]


def _rows(shown: Iterable[tuple[Capability, Route]], versions: Mapping[str, str]) -> tuple[Row, ...]:
    judged: dict[str, list[tuple[Capability, Rule]]] = {}
    for capability, route in shown:
        for rule in (rule.as_installed(versions) for rule in route.rules):
            if not rule.optional or rule.package in versions:
                judged.setdefault(rule.package, []).append((capability, rule))
    return tuple(_row(package, rules, versions.get(package)) for package, rules in judged.items())


def _row(package: str, rules: list[tuple[Capability, Rule]], version: str | None) -> Row:
    wrong = [(capability, rule) for capability, rule in rules if rule.judge(version) != "ok"]
    if not wrong:
        return Row(package, version, "ok")
    rule = wrong[0][1]
    blocks = tuple(dict.fromkeys(capability for capability, _ in wrong))
    return Row(package, version, rule.judge(version), rule.remedy, blocks, rule.why)
