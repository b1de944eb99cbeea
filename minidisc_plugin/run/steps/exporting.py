"""How a step has a model made for another runtime: once a run, and looked at from outside before it counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minidisc_plugin.contracts.artefact import Artefact
from minidisc_plugin.contracts.run import Prepared, Run
from minidisc_plugin.foundation.atomic import atomic_folder
from minidisc_plugin.foundation.errors import ConfigError, ExportError, MinidiscError
from minidisc_plugin.foundation.hushed import hushed
from minidisc_plugin.foundation.printable import shown
from minidisc_plugin.foundation.processes import is_writer
from minidisc_plugin.foundation.storage import storage_error, storage_errors
from minidisc_plugin.run.steps.saving import save_beside

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.foundation.elsewhere import Elsewhere
    from minidisc_plugin.integrations.export.route import Format

logger = logging.getLogger(__name__)

RUNTIMES: dict[Format, str] = {"openvino": "OpenVINO fp32", "onnx": "ONNX fp32"}
# Of the largest logit, or of 1: far more than rounding, far less than a wrong operator.
_TOLERANCE = 1e-3


def refuse_task(step: str, config: CompressionConfig) -> None:
    """Refuse a task whose models are not exported.

    Raises:
        ConfigError: the config's is one.
    """
    from minidisc_plugin.tasks.registry import TASKS

    if not TASKS[config.task].runtime_classes:
        able = [name for name, task in TASKS.items() if task.runtime_classes]
        raise ConfigError(f"steps: {step!r} is not for task {config.task} (but {', '.join(able)}); leave it out")


def refuse_inputs(step: str, prepared: Prepared, formats: Iterable[Format]) -> None:
    """Refuse inputs that a model of some runtime could not be given.

    Raises:
        ConfigError: the teacher's are such.
    """
    from minidisc_plugin.integrations.export.route import route_for
    from minidisc_plugin.run.measuring.batch import sample_batch

    for format_name in formats:
        if wrong := route_for(format_name, prepared.task).refused(sample_batch(prepared)):
            raise ConfigError(f"steps: {step!r} cannot be done: {wrong}; leave it out, or take another format")


def exported(run: Run, elsewhere: Elsewhere, role: str, format_name: Format, name: str | None = None) -> Path:
    """Export the student or the teacher once a run, and add it to what the report measures.

    Args:
        run: The run.
        elsewhere: Where a student that is kept is looked at.
        role: "student" or "teacher".
        format_name: What to write.
        name: Of the folder in the output directory; a scratch folder when left out.

    Returns:
        The folder that holds it.

    Raises:
        ExportError: a student that is to be kept cannot be opened elsewhere, or computes something else there.
    """
    from minidisc_plugin.integrations.export.route import route_for
    from minidisc_plugin.run.measuring.batch import sample_batch

    # What is kept and what is not are two things to make: having made one is not having made the other.
    stage = f"export-{name}" if name else f"scratch-{format_name}-{role}"
    folder = run.directory.root / name if name else run.directory.checkpoints / stage
    route = route_for(format_name, run.prepared.task)

    def make(staged: Path) -> None:
        route.export(on_cpu(in_single(run, role)).eval(), staged, sample_batch(run.prepared))
        if name:
            check_elsewhere(run, elsewhere, staged, RUNTIMES[format_name], route.opened)

    make_once(run, stage, folder, make)
    artefact = Artefact(role, RUNTIMES[format_name], format_name, folder, route.load)
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
        trusted = run.prepared.config.trust_remote_code
        return load(run.directory.student, families(), trust_remote_code=trusted, dtype=SINGLE)
    return in_type(model, SINGLE)


def on_cpu(model: PreTrainedModel) -> PreTrainedModel:
    """The model, or a copy of one that is on an accelerator."""
    import copy

    return model if model.device.type == "cpu" else copy.deepcopy(model).cpu()


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
        if not scratch:
            run.directory.verify(folder.name)
        return
    # Of what lies in the output directory its own record has the checksums.
    with journal.stage(stage, files=folder.rglob("*") if scratch else ()), storage_errors(folder):
        if is_writer():
            with atomic_folder(folder) if scratch else run.directory.writing(folder.name) as staged:
                logger.info("stage %s", stage)
                with _export_errors(stage), hushed():
                    make(staged)
                save_beside(run.prepared, staged)


@contextmanager
def _export_errors(stage: str) -> Iterator[None]:
    """Inside, what a host raises becomes one line; what a disk refuses passes."""
    try:
        yield
    except MinidiscError:
        raise
    except Exception as error:
        if storage_error(error) is not None:
            raise
        logger.debug("%s", stage, exc_info=True)
        raise ExportError(
            f"{stage}: the host failed with {shown(error)}; leave it out of `steps`, or install another version of it"
        ) from error


def check_elsewhere(
    run: Run, elsewhere: Elsewhere, folder: Path, runtime: str, opened: str, exact: bool = True
) -> None:
    """Open a student in a process without this package, and compare its logits with torch's.

    Args:
        run: The run.
        elsewhere: That process.
        folder: Where it lies for now.
        runtime: For messages.
        opened: See Route.
        exact: Whether it computes in fp32; of what is quantized only the shape is known.

    Raises:
        ExportError: it cannot be opened, or its logits differ.
    """
    import torch

    from minidisc_plugin.run.measuring.batch import uneven_batch

    task, batch, label = run.prepared.task, uneven_batch(run.prepared), f"student, {runtime}"
    outputs = elsewhere.outputs(label, folder, opened, batch)
    with torch.no_grad():
        wanted = _parts(task.logits(on_cpu(in_single(run, "student")).eval()(**batch), batch))
    found = _parts(task.logits(outputs, batch))
    if [part.shape for part in found] != [part.shape for part in wanted]:
        raise ExportError(f"{label}: its logits have another shape than the student's, so it does not count")
    off = max(float((one - other).abs().max()) for one, other in zip(found, wanted, strict=True))
    limit = _TOLERANCE * max(1.0, *(float(part.abs().max()) for part in wanted)) if exact else float("inf")
    if not off < limit:  # a NaN is not
        raise ExportError(
            f"{label}: opened in a process of its own, its logits are {off:.2g} off the student's (at most {limit:.2g} "
            "are rounding), so it does not count; leave it out of `steps`, or install other versions of what wrote it"
        )


def _parts(logits: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return logits if isinstance(logits, tuple) else (logits,)
