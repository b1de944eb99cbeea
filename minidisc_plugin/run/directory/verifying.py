"""What a run wrote, compared with its checksums."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from minidisc_plugin.contracts.output import RECORD_FILE, RESOLVED_CONFIG, SEARCH, student_of
from minidisc_plugin.foundation.digests import damage_of
from minidisc_plugin.foundation.errors import RunDirectoryError

# What a finished run has for its reader alone: not damaged when it was edited, or sent elsewhere.
_FOR_PEOPLE = ("README.md", "tradeoff.png", "frontier.png", RESOLVED_CONFIG)


def verify_files(root: Path, files: Mapping[str, str], under: str) -> None:
    """Compare files with their checksums, but for those that people edit, and those that they may remove.

    Args:
        root: Where the run wrote.
        files: SHA-256 by path.
        under: Only those of this folder, of which there is at least one; all where empty.

    Raises:
        RunDirectoryError: names the first that is missing or damaged, or the folder of which none is recorded.
    """
    below = {name: files[name] for name in files if f"{name}/".startswith(f"{under}/" if under else "")}
    if under and not below:
        raise RunDirectoryError(
            f"output_dir: {root / under} is missing, for {RECORD_FILE} lists nothing in it; "
            "repeat the run with --overwrite"
        )
    for name, digest in below.items():
        may_go = name.startswith(f"{SEARCH}/")
        if name.removeprefix(f"{student_of(name)}/") in _FOR_PEOPLE or (may_go and not (root / name).exists()):
            continue
        if damage := damage_of(root / name, digest):
            remedy = f"restore it, remove {root / SEARCH}," if may_go else "restore it,"
            raise RunDirectoryError(
                f"output_dir: {root / name} is {damage}; {remedy} or repeat the run with --overwrite"
            )
