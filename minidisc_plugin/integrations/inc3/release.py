"""Which releases of Neural Compressor take an algorithm that somebody else registers."""

from __future__ import annotations

from importlib import metadata

from packaging.version import Version

from minidisc_plugin.foundation.errors import HostError

LOWEST = "3.8"
_PACKAGES = ("neural-compressor", "neural-compressor-pt")  # the same files under two names


def require_release() -> None:
    """Refuse to go on without it; imports nothing.

    Raises:
        HostError: names the version that is installed, and what to install.
    """
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    remedy = f'pip install "neural-compressor[pt]>={LOWEST}"'
    if not found:
        raise HostError(f"INC quantize and autotune: neural-compressor is missing; {remedy}")
    package, version = max(found.items(), key=lambda item: Version(item[1]))
    if Version(Version(version).base_version) < Version(LOWEST):
        raise HostError(
            f"INC quantize and autotune: {package} {version} is too old: integrations.inc works with it; {remedy}"
        )
