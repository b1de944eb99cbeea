"""Whether a host can work with the installed versions, asked before it is imported."""

from __future__ import annotations

from minidisc_plugin.foundation.errors import HostError
from minidisc_plugin.integrations.requirements import diagnosis
from minidisc_plugin.integrations.requirements.routes import ROUTES, TITLES, Capability
from minidisc_plugin.integrations.requirements.rules import Route


def available(capability: Capability, route: str | None = None) -> bool:
    """Whether the installed versions offer a capability, by that route or by any; imports nothing."""
    return bool(_working(capability, route))


def require(capability: Capability, route: str | None = None, instead: str = "") -> str:
    """Refuse to go on without a host.

    Args:
        capability: What is needed.
        route: The only route that will do; any, when left out.
        instead: What could be done without it, for the message.

    Returns:
        The name of the route in use.

    Raises:
        HostError: names the first package in the way, its version, why it cannot work, and the pins that can.
    """
    if working := _working(capability, route):
        return working[0].name
    versions = diagnosis.by_name(diagnosis.installed_versions())
    wanted = [found for found in ROUTES[capability] if route in (None, found.name)]
    faults = diagnosis.faults_of(ROUTES["core"], versions) + diagnosis.faults_of(wanted, versions)
    pins = " ".join(f'"{pin}"' for pin in dict.fromkeys(fault.rule.remedy for fault in faults))
    title = TITLES[capability] + (f" ({wanted[0].said})" if route else "")
    where = "in an environment of its own, " if any(fault.version for fault in faults) else ""
    raise HostError(f"{title}: {faults[0].said}; {instead}{where}pip install {pins}")


def _working(capability: Capability, route: str | None) -> list[Route]:
    return [found for found in diagnosis.diagnose().routes[capability] if route in (None, found.name)]
