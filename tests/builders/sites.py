"""Distributions with plug-ins, installed into a folder on `sys.path`."""

from __future__ import annotations

from pathlib import Path

from minidisc_plugin.plugins import ENTRY_POINT_GROUP, FoundPlugin, PluginHost

BUILT_IN = ("direct", "fixed", "maxidisc", "minidisc")
SCHEDULER = """
from minidisc_plugin import hookimpl
from minidisc_plugin.schedulers.direct import Direct


class Other(Direct):
    name = "{name}"


@hookimpl
def minidisc_register_schedulers():
    return [Other]
"""


class Site:
    """A folder on `sys.path` to which distributions are installed; each has one entry point and one module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def install(self, distribution: str, entry_point: str, source: str, version: str = "1.2") -> None:
        module = distribution.replace("-", "_")
        self.modules.append(module)
        (self.folder / f"{module}.py").write_text(source, encoding="utf-8")
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        entry_points = f"[{ENTRY_POINT_GROUP}]\n{entry_point} = {module}\n"
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")


def found(plugins: PluginHost) -> dict[str, FoundPlugin]:
    return {plugin.name: plugin for plugin in plugins.found()}
