"""Whether a run may write into a folder, and where in it."""

from __future__ import annotations

from pathlib import Path

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.contracts.output import LOCK_FILE, RECORD_FILE, REPLACEMENT, RESOLVED_CONFIG
from minidisc_plugin.foundation.atomic import is_temporary
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.run.directory.record import read_record


def refuse_unusable(place: Path) -> None:
    """Refuse what is no folder and cannot become one.

    Raises:
        RunDirectoryError: says what is in the way.
    """
    if place.is_symlink() and not place.exists():
        raise RunDirectoryError(f"output_dir: {place} is a link that leads nowhere; give a folder")
    if place.exists() and not place.is_dir():
        raise RunDirectoryError(f"output_dir: {place} is a file; give a folder")
    parent = next(folder for folder in place.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise RunDirectoryError(f"output_dir: {place} cannot be made, for {parent} is a file; give another folder")


def choose_root(place: Path, *, overwrite: bool, resume: bool) -> Path:
    """Where in a folder a run with these flags writes.

    Raises:
        RunDirectoryError: it holds another run and neither flag says what to do with it, or files that no run wrote; or
            a run is to be resumed and there is none.
    """
    held = read_record(place)
    if held is None:
        strangers = _strangers(place)
        if resume and RESOLVED_CONFIG not in strangers and (strangers or not place.is_dir()):
            raise RunDirectoryError(f"output_dir: {place} holds no run to resume; leave --resume out")
        _refuse_strangers(place)
        return place
    replacement = place / REPLACEMENT
    begun = read_record(replacement)
    if begun is None and replacement.is_dir():
        _refuse_strangers(replacement)
    if not (overwrite or resume):
        raise RunDirectoryError(
            f"output_dir: {place} already holds a run; "
            "give --resume to go on with it, --overwrite to replace it, or another folder"
        )
    return replacement if overwrite or begun is not None else place


def refuse_own_teacher(place: Path, config: CompressionConfig) -> None:
    """Refuse to replace a run that the model or the tokenizer is part of.

    Raises:
        RunDirectoryError: names it.
    """
    held = read_record(place)
    root = place.resolve()
    for key, name in (("model", config.model), ("tokenizer", config.tokenizer or config.model)):
        folder = Path(name)
        if held is None or not folder.exists() or root not in folder.resolve().parents:
            continue
        inside = folder.resolve().relative_to(root).as_posix()
        if any(file.startswith(f"{inside}/") for file in held.files):
            raise RunDirectoryError(
                f"output_dir: {place} holds the {key} {folder}, which would be overwritten; give another folder"
            )


def _strangers(folder: Path) -> list[str]:
    """Names in a folder without a record, but for what a run leaves that was killed as it began."""
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if not is_temporary(path.name) and path.name != LOCK_FILE]


def _refuse_strangers(folder: Path) -> None:
    strangers = _strangers(folder)
    if RESOLVED_CONFIG in strangers:
        raise RunDirectoryError(
            f"output_dir: {folder} holds a run without {RECORD_FILE}, so nobody knows what it wrote; "
            "restore that file, remove the folder, or give another one"
        )
    if strangers:
        raise RunDirectoryError(f"output_dir: {folder} holds files that no run wrote; give another folder")
