"""Events of a run, told to every plug-in that listens; none of them can stop it."""

from __future__ import annotations

import copy
import logging
from typing import Any

from minidisc_plugin.foundation.errors import PluginError
from minidisc_plugin.plugins.deferred import put_off
from minidisc_plugin.plugins.foreign import Caught
from minidisc_plugin.plugins.host import host

logger = logging.getLogger(__name__)


def event(name: str, **arguments: Any) -> None:
    """Call an event hook, such as `minidisc_stage_finished`, on every plug-in.

    One that fails is named in a warning, and the others are called; each hears copies, which are its own.
    """
    for implementation in host().implementations(name):
        with Caught(chance=True) as caught:
            given = (copy.deepcopy(arguments[wanted]) for wanted in implementation.argnames)
            if late := put_off(implementation.function(*given)):
                raise PluginError(f"it returned {late}")
        if caught.reason:
            owner = host().owner_of(implementation.plugin_name)
            logger.warning("plug-in %s: %s failed, and the run goes on: %s", owner, name, caught.reason)
