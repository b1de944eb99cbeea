"""Plug-ins: how they are found, what they may register, and that none of them costs a run or another one."""

from minidisc_plugin.plugins.events import event
from minidisc_plugin.plugins.host import ENTRY_POINT_GROUP, FoundPlugin, PluginHost, families, host, pick
from minidisc_plugin.plugins.kinds import Registered

__all__ = ["ENTRY_POINT_GROUP", "FoundPlugin", "PluginHost", "Registered", "event", "families", "host", "pick"]
