"""What counts of a finished run: weights, records and the names of its files; times do not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

# Differ from run to run, or say where and how fast.
_TIMES = {"latency_ms_batch1", "throughput_batch32"}
_WEIGHTS = (".safetensors", ".bin", ".onnx")


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished run left, by name."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        found[name] = hashlib.sha256(file.read_bytes()).hexdigest() if file.suffix in _WEIGHTS else True
    for name in found:
        if Path(name).name in ("schedule.json", "results.json"):
            found[name] = _timeless(json.loads((folder / name).read_text(encoding="utf-8")))
    return found


def difference(wanted: dict[str, Any], found: dict[str, Any]) -> str | None:
    """The first thing that differs, in words, or None."""
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is there, which an uninterrupted run does not leave"
        if wanted[name] != found[name]:
            return f"{name} is another{_where(wanted[name], found[name])}"
    return None


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        # OpenVINO numbers its nodes through a process, so their names are longer where more was exported before.
        if not str(value.get("runtime", "torch")).startswith("torch"):
            value = {key: part for key, part in value.items() if key != "bytes_on_disk"}
        return {
            key: _timeless(part) if key != "seconds" else sorted(part) if isinstance(part, dict) else None
            for key, part in value.items()
            if key not in _TIMES
        }
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def _where(wanted: Any, found: Any) -> str:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                return f" in {key}{_where(wanted.get(key), found.get(key))}"
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return f" ({wanted} / {found})" if len(str(wanted)) + len(str(found)) < 300 else " (length)"
        for one, other in zip(wanted, found, strict=True):
            if one != other:
                return _where(one, other)
    return f" ({wanted} / {found})" if len(str(wanted)) + len(str(found)) < 160 else ""
