"""The step `export`: the student as OpenVINO IR and as ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.run import Run, Step
from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.foundation.model_files.tokenizer_saving import save_tokenizer
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.foundation.storage import storage_errors
from minidisc_plugin.integrations.hosts import require
from minidisc_plugin.integrations.requirements import Capability

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.task import Task

FOLDERS = {"openvino": "student-openvino", "onnx": "student-onnx"}
RUNTIMES = {"openvino": "OpenVINO fp32", "onnx": "ONNX fp32"}
_CAPABILITIES: Mapping[str, Capability] = {"openvino": "openvino", "onnx": "onnx"}


class Export(Step):
    """Write the student for each runtime in `export.formats`, and measure it there next to the teacher."""

    name = "export"
    writes: ClassVar[Mapping[str, str]] = {
        f"{FOLDERS['openvino']}/": "the student as OpenVINO IR (step export)",
        f"{FOLDERS['onnx']}/": "the student as ONNX (step export)",
    }

    def check(self, config: CompressionConfig) -> None:
        """See Step."""
        refuse_task(self.name, config)
        for format_name in config.export.formats:
            require(_CAPABILITIES[format_name])

    def run(self, run: Run) -> None:
        """See Step."""
        for format_name in run.prepared.config.export.formats:
            exported(run, "student", format_name, FOLDERS[format_name])
            exported(run, "teacher", format_name)


def refuse_task(step: str, config: CompressionConfig) -> None:
    """Refuse a task whose models are not exported.

    Raises:
        ConfigError: the config's is one.
    """
    from minidisc_plugin.tasks.registry import TASKS

    if not TASKS[config.task].runtime_classes:
        able = [name for name, task in TASKS.items() if task.runtime_classes]
        raise ConfigError(f"steps: {step!r} is not for task {config.task} (but {', '.join(able)}); leave it out")


def exported(run: Run, role: str, format_name: str, name: str | None = None) -> Path:
    """Export the student or the teacher once a run, and add it to what the report measures.

    Args:
        run: The run.
        role: "student" or "teacher".
        format_name: A key of FOLDERS.
        name: Of the folder in the output directory; a scratch folder when left out.

    Returns:
        The folder that holds it.
    """
    stage = f"export-{format_name}-{role}"
    folder = run.directory.root / name if name else run.directory.checkpoints / stage
    export, load = _exporter(format_name, run.prepared.task)
    make_once(run, stage, folder, lambda staged: export(in_single(run, role), staged))
    artefact = Artefact(role, RUNTIMES[format_name], format_name, folder, load)
    if artefact not in run.artefacts:
        run.artefacts.append(artefact)
    return folder


def in_single(run: Run, role: str) -> PreTrainedModel:
    """The student as it is saved, or the teacher, with weights in single precision: what exporters can take."""
    from minidisc_plugin.foundation.model_files.types import SINGLE, in_type, type_of
    from minidisc_plugin.nested.checkpoint import load
    from minidisc_plugin.plugins import families

    model = run.schedule.student if role == "student" else run.bench.teacher
    if role == "student" and type_of(model) != run.prepared.saved_type:
        return load(run.directory.student, families(), dtype=SINGLE)
    return in_type(model, SINGLE)


def make_once(run: Run, stage: str, folder: Path, make: Callable[[Path], None]) -> None:
    """Have a folder made, with the tokenizer in it, by the stage of that name; or check what it made earlier.

    Args:
        run: The run.
        stage: Of the journal.
        folder: In the output directory, or a scratch folder in the checkpoints.
        make: Writes to the path that it is given.

    Raises:
        RunDirectoryError: what it made earlier is missing or damaged.
    """
    journal, scratch = run.bench.journal, folder.parent == run.directory.checkpoints
    if journal.finished(stage):
        journal.verify(stage)
        run.directory.verify(folder.name)
        return
    # Of what lies in the output directory its own record has the checksums.
    with journal.stage(stage, files=folder.rglob("*") if scratch else ()), storage_errors(folder):
        if is_writer():
            with atomic_folder(folder) if scratch else run.directory.writing(folder.name) as staged:
                make(staged)
                save_tokenizer(run.prepared.tokenizer, staged)


def _exporter(format_name: str, task: Task) -> tuple[Callable[..., None], Callable[[Path], Any]]:
    if format_name == "onnx":
        from minidisc_plugin.integrations import onnx

        kind = task.runtime_classes["onnx"]
        return partial(onnx.export, task=task.name), partial(onnx.load, kind=kind)
    from minidisc_plugin.integrations import openvino

    kind = task.runtime_classes["openvino"]
    return partial(openvino.export, task=task.name), partial(openvino.load, kind=kind)
