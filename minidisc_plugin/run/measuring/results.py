"""Measure the models of a run next to each other: what `results.json` holds."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.contracts.records import ModelRow, ResultsRecord
from minidisc_plugin.foundation.errors import MetricError
from minidisc_plugin.foundation.model_files.types import type_of
from minidisc_plugin.nested.family import encoder_parameters
from minidisc_plugin.run.measuring.artefacts import Loaded, metric_of, noted_shapes
from minidisc_plugin.run.measuring.batch import typical_batch
from minidisc_plugin.run.measuring.measure import Timing, bytes_on_disk, count_parameters, macs, time_models
from minidisc_plugin.run.measuring.precision import precision_of
from minidisc_plugin.run.measuring.saturation import serve
from minidisc_plugin.run.measuring.texts import Texts
from minidisc_plugin.selection import MetricRange, to_unit

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.artefact import Artefact
    from minidisc_plugin.contracts.run import Prepared, Run

logger = logging.getLogger(__name__)


def measure(run: Run) -> ResultsRecord:
    """Metric on the reported split, sizes and speed of teacher, assistants and student, in one go.

    Speed is that of examples of the split's median length, all models of one engine in turn.
    """
    prepared, schedule = run.prepared, run.schedule
    models, batch, texts = _models(run), typical_batch(prepared), Texts(prepared)
    single = {name: value[:1] for name, value in batch.items()}
    for _, model, _ in models.values():
        model.to(run.bench.args.device).eval()
    in_torch = {name: Loaded(made) for name, made in _artefacts(run, "torch").items()}
    on_device = run.bench.args.device.type == "cuda"
    saturated = {role: _saturated(model, batch) for role, (_, model, _) in models.items() if on_device}
    timings = time_models({**{role: model for role, (_, model, _) in models.items()}, **in_torch}, single, batch)
    rows = []
    for role, (scale, model, folder) in models.items():
        with noted_shapes(model, prepared.task) as shapes:  # in the end the student's
            scores = run.bench.scores_in_runtime(model, prepared.splits.report)
        rows.append(
            ModelRow(
                role=role,
                scale=scale,
                metric=scores[run.bench.metric],
                perplexity=scores.get("perplexity"),
                texts=texts.scores(model, role),
                parameters=count_parameters(model),
                encoder_parameters=encoder_parameters(model, prepared.family),
                macs=macs(model, single),
                bytes_on_disk=_bytes(model, folder),
                latency_ms_batch1=timings[role].latency_ms_batch1,
                throughput_batch32=timings[role].throughput_batch32,
                **saturated.get(role, {}),
                path=os.path.relpath(folder, run.directory.root) if folder and role != "teacher" else None,
            )
        )
    sizes = {row.role: row for row in rows}
    for engine in dict.fromkeys(made.engine for made in run.artefacts):
        group = _artefacts(run, engine)
        loaded = in_torch if engine == "torch" else {name: Loaded(made) for name, made in group.items()}
        if engine != "torch":  # apart: threads of another engine that idle would disturb it
            timings |= time_models(loaded, single, batch)
        for name, made in group.items():
            metric = metric_of(run, loaded[name], shapes)
            rows.append(_artefact_row(run, made, metric, sizes[made.role], timings[name]))
    return ResultsRecord(
        scheduler=schedule.record.scheduler,
        task=prepared.task.name,
        metric=run.bench.metric,
        **_of_split(prepared),
        **vars(prepared.task.shape_of(batch)),
        rows=rows,
        half_precision=precision_of(run.bench.journal),
        drawn_from=prepared.splits.rows,
        budget=prepared.budget,
        derived_family=prepared.derived_family,
        versions=prepared.config.versions or {},
        seed=prepared.config.seed,
        device=_name_of(run.bench.args.device),
        threads=torch.get_num_threads(),
    )


def _of_split(prepared: Prepared) -> dict[str, Any]:
    """Of a record: what was reported on."""
    split = prepared.splits.report
    return {
        "split": prepared.splits.report_name,
        "examples": prepared.task.count_examples(split),
        "judged_by_teacher": prepared.task.judged_by_teacher(split),
    }


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _saturated(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Of a row: what a CUDA device does at its best."""
    found = serve(model, batch)
    return {
        "latency_ms_graph": found.latency_ms_graph,
        "throughput_saturated": found.saturated.throughput,
        "saturating_batch": found.saturated.batch,
        "saturated_gib": found.saturated.memory_gib,
    }


def _artefacts(run: Run, engine: str) -> dict[str, Artefact]:
    """Those of one engine, each under a name of its own, the teacher's first."""
    teacher_first = sorted(run.artefacts, key=lambda made: made.role != "teacher")
    return {made.label: made for made in teacher_first if made.engine == engine}


def _artefact_row(run: Run, made: Artefact, metric: float, origin: ModelRow, timing: Timing) -> ModelRow:
    """The row of an artefact; it has as many parameters as the model that it was made from."""
    kept = run.directory.checkpoints not in made.folder.parents
    lost = lost_share(run, origin.metric, metric) if made.max_loss is not None else None
    too_much = lost is not None and made.max_loss is not None and lost > made.max_loss
    if too_much:
        logger.warning(
            "%s: %s is %.4g where the student in torch has %.4g; that is %.3g of its range, more than "
            "quantization.max_loss %g; it is kept, but take another of quantization.schemes",
            *(made.label, run.bench.metric, metric, origin.metric, lost, made.max_loss),
        )
    return ModelRow(
        role=made.role,
        scale=origin.scale,
        metric=metric,
        lost=lost,
        lost_too_much=too_much,
        parameters=origin.parameters,
        encoder_parameters=origin.encoder_parameters,
        macs=origin.macs,
        bytes_on_disk=bytes_on_disk(made.folder),
        latency_ms_batch1=timing.latency_ms_batch1,
        throughput_batch32=timing.throughput_batch32,
        runtime=made.runtime,
        path=os.path.relpath(made.folder, run.directory.root) if kept else None,
    )


def lost_share(run: Run, before: float | None, after: float) -> float | None:
    """How much of its range a metric lost, below 0 where it gained; None where one of both is not a number in it."""
    declared = run.prepared.config.metric.range
    if before is None:
        return None
    try:
        unit = to_unit([before, after], run.bench.metric, MetricRange(*declared) if declared else None)
    except MetricError as error:  # after everything, so it costs this number and not the report
        logger.warning("%s; until then nobody knows how much of it quantization lost", error)
        return None
    lost = unit[0] - unit[1]
    return lost if math.isfinite(lost) else None


def _as_saved(run: Run, model: PreTrainedModel, folder: Path | None) -> PreTrainedModel:
    """The model in the type that it is saved in: read again from where it lies, where it was trained in another."""
    from minidisc_plugin.nested.checkpoint import load
    from minidisc_plugin.nested.teacher import read_teacher
    from minidisc_plugin.plugins import families

    prepared, config, known = run.prepared, run.prepared.config, families()
    if type_of(model) == prepared.saved_type:
        return model
    if model is run.bench.teacher:
        return read_teacher(config.model, config.trust_remote_code, prepared.task, families=known, as_saved=True)[0]
    assert folder is not None
    return load(folder, known, trust_remote_code=config.trust_remote_code)


def _models(run: Run) -> dict[str, tuple[float, PreTrainedModel, Path | None]]:
    """Role to scale, model as it is saved, and folder."""
    schedule, directory = run.schedule, run.directory
    teacher = Path(run.prepared.config.model)
    models: dict[str, tuple[float, PreTrainedModel, Path | None]] = {
        "teacher": (1.0, run.bench.teacher, teacher if teacher.is_dir() else None)
    }
    count = len(schedule.assistants)
    for number, (scale, model) in enumerate(zip(schedule.record.assistants, schedule.assistants, strict=True), 1):
        role = "assistant" if count == 1 else f"assistant {number}"
        models[role] = (scale, model, directory.assistant(number, count))
    models["student"] = (schedule.record.target_scale, schedule.student, directory.student)
    return {role: (scale, _as_saved(run, model, folder), folder) for role, (scale, model, folder) in models.items()}


def _bytes(model: PreTrainedModel, folder: Path | None) -> int:
    if folder is not None:
        return bytes_on_disk(folder)
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
