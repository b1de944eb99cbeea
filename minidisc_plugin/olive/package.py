"""Olive's table of passes with ours in it; Olive itself is not imported, for that takes seconds."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from minidisc_plugin.foundation.errors import HostError
from minidisc_plugin.integrations.hosts import require

NAME = "MiniDisc"
"""What `type` of a pass in a workflow holds."""

_ENTRY = {
    "module_path": f"minidisc_plugin.olive.compression.{NAME}",
    "supported_providers": ["*"],
    "supported_accelerators": ["*"],
    "supported_precisions": ["*"],
    "supported_algorithms": [],
    "supported_quantization_encodings": [],
    "module_dependencies": ["minidisc-plugin"],
}


def package_table() -> str:
    """The JSON that `olive run --package-config` takes: all that Olive's own table holds, and our pass.

    Raises:
        HostError: Olive is missing, too old, or without its table; names the remedy.
    """
    table = _olives_table()
    table["passes"] = {**table["passes"], NAME: _ENTRY}
    return json.dumps(table, indent=4) + "\n"


def _olives_table() -> dict[str, Any]:
    require("host", "olive")
    found = importlib.util.find_spec("olive")
    places = list(found.submodule_search_locations or []) if found else []
    try:
        table = json.loads(Path(places[0], "olive_config.json").read_text(encoding="utf-8"))
        return {**table, "passes": dict(table["passes"])}
    except (IndexError, OSError, ValueError, KeyError, TypeError) as error:
        raise HostError(f"Olive: its table of passes cannot be read ({error!r}); install another version") from error
