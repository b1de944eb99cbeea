"""What a process has but once is what it was after a plug-in's code, wherever that runs."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minidisc_plugin import hookimpl
from minidisc_plugin.plugins import PluginHost, event, host
from minidisc_plugin.plugins.foreign import Caught, calling
from tests.builders.sites import Site

ROOM = logging.getLogger("minidisc_plugin")
OURS = logging.getLogger("minidisc_plugin.plugins.events")
# What a plug-in does, and what tells.
STATE: dict[str, tuple[str, Callable[[], Any]]] = {
    "gradients": ("torch.set_grad_enabled(False)", torch.is_grad_enabled),
    "dtype": ("torch.set_default_dtype(torch.float64)", torch.get_default_dtype),
    "threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", torch.get_num_threads),
    "deterministic": ("torch.use_deterministic_algorithms(True)", torch.are_deterministic_algorithms_enabled),
    "anomalies": ("torch.autograd.set_detect_anomaly(True)", torch.is_anomaly_enabled),
    "warnings": ("warnings.simplefilter('error')", lambda: list(warnings.filters)),
    "other warnings": ("warnings.filters = []", lambda: list(warnings.filters)),
    "no warnings": ("warnings.showwarning = None", lambda: warnings.showwarning),
    "logging": ("logging.disable(logging.CRITICAL)", lambda: logging.root.manager.disable),
    "propagation": ("logging.getLogger('minidisc_plugin').propagate = False", lambda: ROOM.propagate),
    "a logger": ("logging.getLogger('minidisc_plugin.plugins.events').disabled = True", lambda: OURS.disabled),
    "handlers": ("logging.getLogger().addHandler(logging.NullHandler())", lambda: list(logging.root.handlers)),
    "level": ("logging.getLogger().setLevel(1)", lambda: logging.root.level),
    "excepthook": ("sys.excepthook = None", lambda: sys.excepthook),
    "of threads": ("threading.excepthook = None", lambda: threading.excepthook),
    "arguments": ("sys.argv.clear()", lambda: list(sys.argv)),
    "other arguments": ("sys.argv = ['x']", lambda: list(sys.argv)),
    "recursion": ("sys.setrecursionlimit(sys.getrecursionlimit() + 1)", sys.getrecursionlimit),
    "environment": ("os.environ.clear()", lambda: os.environ.get("PATH")),
    "a variable": ("os.environ['PATH'] = '/x'", lambda: os.environ.get("PATH")),
    "no environment": ("os.environ = {}", lambda: os.environ.get("PATH")),
}
CHANCE: dict[str, tuple[str, Callable[[], Any]]] = {
    "random": ("random.seed(5)", random.getstate),
    "numpy": ("numpy.random.seed(5)", lambda: np.random.get_state()[1].tolist()),  # type: ignore[index]
    "torch": ("torch.manual_seed(5)", lambda: torch.get_rng_state().tolist()),
}
IMPORTS = "import logging, numpy, os, random, sys, threading, torch, warnings\n"


@pytest.mark.parametrize("kind", STATE)
def test_state_is_put_back(kind: str) -> None:
    code, told = STATE[kind]
    before = told()
    with Caught() as caught:
        exec(IMPORTS + code)
        assert told() != before
    assert caught.error is None and told() == before
    with pytest.raises(Exception, match="half way"), calling("acme 1.0", "a loss"):
        exec(IMPORTS + code + "\nraise ValueError('half way')")
    assert told() == before


@pytest.mark.parametrize("kind", [*STATE, *CHANCE])
def test_state_is_put_back_after_imports_hooks_and_events(kind: str, site: Site, fresh_host: None) -> None:
    code, told = {**STATE, **CHANCE}[kind]
    hook = f"@hookimpl\ndef minidisc_register_steps():\n    {code}\n    return []\n"
    listener = f"@hookimpl\ndef minidisc_assistant_selected():\n    {code}\n"
    source = f"{IMPORTS}from minidisc_plugin import hookimpl\n{code}\n{hook}{listener}"
    before = told()
    site.install("changer", "changer", source)
    assert not [row.error for row in PluginHost().found() if row.error]
    assert told() == before
    host()
    event("minidisc_assistant_selected", scheduler="minidisc", assistants=[])
    assert told() == before


def test_what_a_plugin_adds_to_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_THERE", "1")
    monkeypatch.delenv("ACME_NEW", raising=False)
    with Caught():
        os.environ.update(ACME_THERE="2", ACME_NEW="3")
        del os.environ["HOME"]
    assert os.environ["ACME_THERE"] == "1" and os.environ["ACME_NEW"] == "3" and Path(os.environ["HOME"]).is_dir()
    os.environ.pop("ACME_NEW")


class Drawer:
    """Draws numbers as it listens."""

    @hookimpl
    def minidisc_assistant_selected(self) -> None:
        random.random(), torch.rand(1), np.random.rand()


def test_a_listener_does_not_change_chance() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    plugin = Drawer()
    host().manager.register(plugin)
    try:
        event("minidisc_assistant_selected", scheduler="minidisc", assistants=[])
    finally:
        host().manager.unregister(plugin)
    assert torch.rand(1) == expected


def test_a_warning_is_shown_once_however_often_a_block_runs() -> None:
    """Filters that nobody changed are left alone: Python would forget which warnings it has shown."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(3):
            with Caught():
                warnings.warn("once", stacklevel=1)
    assert len(shown) == 1
