"""Models written to the output directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.run import Prepared, Run
from minidisc_plugin.foundation.atomic import write_text
from minidisc_plugin.foundation.model_files.processor_saving import save_processor
from minidisc_plugin.foundation.model_files.types import in_type
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.nested.origin import remember_origin
from minidisc_plugin.training.device_memory import weight_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def save_beside(prepared: Prepared, folder: Path) -> None:
    """Write what every form of a model has beside its weights: its processor, and what else the teacher has there."""
    save_processor(prepared.processor, folder)
    for name, text in prepared.beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, text)


def save(run: Run, model: PreTrainedModel, name: str) -> None:
    """Write a model, in the type that the run saves in, with what reads its inputs beside it."""
    if is_writer():
        with storage_errors(run.directory.root / name, weight_bytes(model)), run.directory.writing(name) as folder:
            in_type(model, run.prepared.saved_type).save_pretrained(str(folder))
            save_beside(run.prepared, folder)
        remember_origin(model, run.directory.root / name)
