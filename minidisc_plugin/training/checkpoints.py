"""Checkpoints of a training stage: which of them are whole, and which one the stage goes on from.

Trainer writes a checkpoint file by file, so a process that is stopped meanwhile leaves half of one. A checkpoint is
whole when it holds a seal, which is written last, and when its files are what the seal says.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from minidisc_plugin.foundation.atomic import flush, write_text
from minidisc_plugin.foundation.digests import sha256_of
from minidisc_plugin.foundation.errors import RunDirectoryError
from minidisc_plugin.foundation.printable import shortened
from minidisc_plugin.foundation.processes import is_writer, wait_for_all

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

SEAL = "seal.json"
_STATE = "trainer_state.json"
# Of a model of transformers 5: how its weights are called in files.
_CONVERSIONS = "_weight_conversions"
_ABSENT = object()
_NAME = re.compile(r"checkpoint-(\d+)")


class _SealedFile(BaseModel):
    bytes: int
    sha256: str


class _Seal(BaseModel):
    files: dict[str, _SealedFile]


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a stage.

    Attributes:
        folder: Named after the step.
    """

    folder: Path

    @property
    def step(self) -> int:
        """After how many optimizer steps it was written."""
        return int(self.folder.name.rpartition("-")[2])

    @cached_property
    def state(self) -> dict[str, Any]:
        """Trainer's state, as plain data."""
        return dict(json.loads((self.folder / _STATE).read_text(encoding="utf-8")))

    @property
    def best(self) -> Checkpoint | None:
        """The one with the best weights up to here; it lies beside this one, wherever that was when it was noted."""
        noted = self.state.get("best_model_checkpoint")
        return Checkpoint(self.folder.with_name(Path(noted).name)) if noted else None

    @property
    def ends_stage(self) -> bool:
        """Whether training was over when it was written: all steps done, or stopped early."""
        control = self.state.get("stateful_callbacks", {}).get("TrainerControl", {}).get("args", {})
        return bool(self.step >= self.state["max_steps"] or control.get("should_training_stop"))

    def seal(self) -> None:
        """Note what each file holds, once all of them are on the disk: the checkpoint is whole from now on."""
        paths = [self.folder, *(path for path in self.folder.rglob("*") if path.name != SEAL)]
        files = [path for path in paths if path.is_file()]
        for file in files:
            flush(file)
        for path in paths:
            if path.is_dir():
                _flush_names(path)
        seal = _Seal(
            files={
                file.relative_to(self.folder).as_posix(): _SealedFile(bytes=file.stat().st_size, sha256=sha256_of(file))
                for file in sorted(files)
            }
        )
        write_text(self.folder / SEAL, seal.model_dump_json(indent=2))
        _flush_names(self.folder.parent)

    def fault(self) -> str | None:
        """Why it is not whole, in words; None where it is."""
        try:
            seal = _Seal.model_validate_json((self.folder / SEAL).read_bytes())
            for name, wanted in seal.files.items():
                file = self.folder / name
                if not file.is_file():
                    return f"{name} is missing"
                size = file.stat().st_size
                if size != wanted.bytes:
                    return f"{name} has {size} bytes of {wanted.bytes}"
                if sha256_of(file) != wanted.sha256:
                    return f"{name} is damaged"
        except FileNotFoundError:
            return "it was not finished"
        except ValidationError:
            return f"{SEAL} is damaged"
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        return None

    def remove(self) -> None:
        """Delete it; the seal goes first, so that what is left after a kill is not taken for whole."""
        (self.folder / SEAL).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def load_weights(self, model: nn.Module) -> None:
        """Give a model the weights that were saved."""
        import torch
        from safetensors.torch import load_file

        weights: dict[str, Any] = {}
        for file in sorted(self.folder.glob("model*.safetensors")):
            weights |= load_file(file)
        if not weights:  # INCTrainer's own format
            for file in sorted(self.folder.glob("pytorch_model*.bin")):
                weights |= torch.load(file, map_location="cpu", weights_only=True)
        refuse_unset(model, model.load_state_dict(weights, strict=False).missing_keys, str(self.folder))


def refuse_unset(model: nn.Module, missing: Sequence[str], where: str) -> None:
    """Refuse to go on with a model that was given a part of its weights only.

    Args:
        model: As it is afterwards.
        missing: Names of what the file does not hold.
        where: The checkpoint, as a message begins.

    Raises:
        RunDirectoryError: names what is missing.
    """
    held = model.state_dict()
    loaded = {held[name].data_ptr() for name in held.keys() - set(missing)}
    # Of weights that layers share, a file holds one.
    unset = [name for name in missing if name in held and held[name].data_ptr() not in loaded]
    if unset:
        raise RunDirectoryError(f"{where}: it does not hold {shortened(', '.join(unset))}; start the run again")


@contextmanager
def names_as_held(model: nn.Module) -> Iterator[None]:
    """Inside, a model is saved under the names that it has: transformers 5 saves some under those of earlier releases.

    Its Trainer goes on from a checkpoint by the names of now, and says no more than a warning of what it does not find.
    """
    before = vars(model).get(_CONVERSIONS, _ABSENT)
    setattr(model, _CONVERSIONS, [])
    try:
        yield
    finally:
        if before is _ABSENT:
            delattr(model, _CONVERSIONS)
        else:
            setattr(model, _CONVERSIONS, before)


def checkpoints_in(folder: Path, *, sealed: bool = False) -> list[Checkpoint]:
    """Checkpoints of a stage, oldest first; only those that have a seal, where asked for."""
    if not folder.is_dir():
        return []
    found = [Checkpoint(path) for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(
        (checkpoint for checkpoint in found if not sealed or (checkpoint.folder / SEAL).is_file()),
        key=lambda checkpoint: checkpoint.step,
    )


def take_up(folder: Path, stage: str, *, needs_best: bool) -> Checkpoint | None:
    """The newest checkpoint that a stage can go on from; what is not whole, and what is newer, is removed.

    Args:
        folder: Of the stage.
        stage: Its name, for the log.
        needs_best: Whether the stage ends with its best weights, so that their checkpoint has to be whole, too.
    """
    if is_writer():
        _remove_unusable(folder, stage, needs_best)
    wait_for_all()
    found = checkpoints_in(folder, sealed=True)
    return found[-1] if found else None


def rotate(folder: Path, limit: int | None, best: str | None) -> None:
    """Remove the oldest checkpoints above a limit.

    Args:
        folder: Of the stage.
        limit: How many to keep, of which the newest and the best are always kept; all when it is None or 0.
        best: The checkpoint with the best weights.
    """
    found = checkpoints_in(folder)
    if not limit or limit < 0 or not found:
        return
    kept = {found[-1].folder.name} | ({Path(best).name} if best else set())
    surplus = len(found) - max(limit, len(kept))
    for checkpoint in [checkpoint for checkpoint in found if checkpoint.folder.name not in kept][: max(surplus, 0)]:
        checkpoint.remove()


def _remove_unusable(folder: Path, stage: str, needs_best: bool) -> None:
    removed: list[str] = []
    chosen: Checkpoint | None = None
    for checkpoint in reversed(checkpoints_in(folder)):
        if chosen is None:
            fault = checkpoint.fault()
            if fault is None and needs_best and checkpoint.best is not None:
                fault = checkpoint.best.fault()
                fault = fault and f"of {checkpoint.best.folder.name}, which it needs, {fault}"
            if fault is None:
                chosen = checkpoint
                continue
        elif (checkpoint.folder / SEAL).is_file():
            continue
        else:
            fault = "it was not finished"
        removed.append(f"{checkpoint.folder.name} ({fault})")
        checkpoint.remove()
    if removed:
        instead = f"goes on from {chosen.folder.name}" if chosen else "begins again"
        logger.warning("stage %s %s; not whole, and removed: %s", stage, instead, ", ".join(removed))


def _flush_names(folder: Path) -> None:
    with suppress(OSError):  # not every platform lets a folder be opened
        flush(folder)
