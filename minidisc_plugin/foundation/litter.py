"""What libraries would leave behind, besides Hugging Face's caches: each is told not to, by the switch that it has.

Switches are set for the time of a run, in this process and those it starts, and given back. What the user has set wins.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from minidisc_plugin.foundation.atomic import TEMPORARY

_SWITCHES: Mapping[str, str] = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime's, in ~/.cache/Microsoft and the temporary folder
    "LOG_LEVEL_INC": "6",  # Neural Compressor's log in ~/.habana_logs; 6 is none
    "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0",  # kept in the temporary folder, wherever else caches are
}
# OpenVINO's and NNCF's, in ~/intel; both do without where it is not installed.
_TELEMETRY = "openvino_telemetry"
_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
_MATPLOTLIB = "MPLCONFIGDIR"
COMPILED = "compiled"
"""Folder in a run's checkpoints for what `torch_compile` compiled."""


@contextmanager
def no_litter() -> Iterator[bool]:
    """Inside, libraries that are imported and used leave no telemetry, logs and caches.

    Yields whether the folder for what torch compiles is ours to choose, see compile_into.
    """
    compiled = os.environ.get(_COMPILED)
    is_hidden = _TELEMETRY not in sys.modules
    with _environment(_SWITCHES):
        if is_hidden:
            sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
        try:
            yield compiled is None
        finally:
            if is_hidden and _TELEMETRY in sys.modules:
                del sys.modules[_TELEMETRY]
            if compiled is None and (made := os.environ.pop(_COMPILED, None)):
                _remove_empty(made)


def compile_into(checkpoints: Path) -> None:
    """Keep what torch compiles in the checkpoints of a run, with which it goes; `no_litter` forgets it."""
    made = os.environ.get(_COMPILED)
    if made is not None:
        _remove_empty(made)
    os.environ[_COMPILED] = str(checkpoints.absolute() / COMPILED)


@contextmanager
def plotting_beside(file: Path) -> Iterator[None]:
    """Inside, matplotlib is imported without making folders in the user's home; lists of fonts there are read."""
    if "matplotlib" in sys.modules or _MATPLOTLIB in os.environ:
        yield
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "matplotlib"
    with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY}plot-", dir=file.parent) as scratch:
        with suppress(OSError):
            for fonts in cache.glob("fontlist*.json"):
                shutil.copy(fonts, scratch)
        with _environment({_MATPLOTLIB: scratch}):
            yield


def _remove_empty(folder: str) -> None:
    """Torch makes its folder as it is imported, whether it compiles anything or not."""
    with suppress(OSError):  # something is in it
        os.rmdir(folder)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables that are set inside, but for those that the user has set."""
    ours = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in ours.items():
            if os.environ.get(name) == value:
                del os.environ[name]
