"""Whether a host can work with the installed versions, asked before it is imported."""

from __future__ import annotations

from minidisc_plugin.foundation.errors import HostError
from minidisc_plugin.integrations.requirements import TITLES, Capability, diagnose


def available(capability: Capability) -> bool:
    """Whether the installed versions offer a capability; imports nothing."""
    return diagnose().works[capability]


def require(capability: Capability) -> None:
    """Refuse to go on without a host.

    Raises:
        HostError: names the first package in the way, its version, why it cannot work, and the pins that can.
    """
    diagnosis = diagnose()
    if diagnosis.works[capability]:
        return
    culprit = next(row for row in diagnosis.rows if capability in row.blocks or "core" in row.blocks)
    found = (
        f"{culprit.package} {culprit.version} is {culprit.verdict}"
        if culprit.version
        else f"{culprit.package} is missing"
    )
    why = f": {culprit.why}" if culprit.why else ""
    pins = " ".join(f'"{pin}"' for pin in diagnosis.pins[capability])
    raise HostError(f"{TITLES[capability]}: {found}{why}; pip install {pins}")
