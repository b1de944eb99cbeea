"""Small directories of runs that wrote this and that, without any training."""

from __future__ import annotations

from pathlib import Path

from minidisc_plugin import CompressionConfig
from minidisc_plugin.run.directory.folder import RunDirectory
from tests.builders.tiny import make_config

INPUTS = {"model": "1", "dataset (split to train on)": "2"}


def config_of(place: Path) -> CompressionConfig:
    """A config that is never prepared."""
    return CompressionConfig.model_validate(make_config(Path("nowhere"), output_dir=str(place)))


def begin(place: Path, written: dict[str, str], *, overwrite: bool = False, finish: bool = True) -> RunDirectory:
    """A run that writes files by name and text, and is finished, or cut off."""
    directory, config = RunDirectory(place), config_of(place)
    directory.check(config, overwrite=overwrite, resume=False)
    with directory.opened(config, INPUTS, overwrite=overwrite, resume=False):
        write(directory, written)
        (directory.checkpoints / "journal.json").write_text("{}")
        if finish:
            directory.finish()
    return directory


def write(directory: RunDirectory, written: dict[str, str]) -> None:
    """Write files, those of one folder together."""
    for name in dict.fromkeys(path.partition("/")[0] for path in written):
        with directory.writing(name) as staged:
            for path, text in written.items():
                if path.partition("/")[0] == name:
                    file = staged.parent / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text)


def content(place: Path) -> dict[str, str]:
    """Every file by its path, but for the config and the record, which are there beside it."""
    found = {path.relative_to(place).as_posix(): path.read_text() for path in place.rglob("*") if path.is_file()}
    assert {"config.resolved.yaml", "run.json"} <= found.keys()
    return {name: text for name, text in found.items() if name not in ("config.resolved.yaml", "run.json")}
