"""Measure the models of a run next to each other: what `results.json` holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from minidisc_plugin.nested.family import encoder_parameters
from minidisc_plugin.reporting.measure import bytes_on_disk, count_parameters, macs, time_models
from minidisc_plugin.reporting.records import ModelRow, ResultsRecord

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    from minidisc_plugin.steps import Run

BATCH = 32


def measure(run: Run) -> ResultsRecord:
    """Metric on the reported split, sizes and speed of teacher, assistants and student, in one go.

    Speed is that of examples of the split's median length, all models in turn.
    """
    prepared, schedule = run.prepared, run.schedule
    models = _models(run)
    batch = typical_batch(prepared.splits.report, prepared.tokenizer)
    single = {name: value[:1] for name, value in batch.items()}
    for _, model, _ in models.values():
        model.to(run.bench.args.device).eval()
    timings = time_models({role: model for role, (_, model, _) in models.items()}, single, batch)
    rows = []
    for role, (scale, model, folder) in models.items():
        rows.append(
            ModelRow(
                role=role,
                scale=scale,
                metric=run.bench.metric_of(model, "report", prepared.splits.report),
                parameters=count_parameters(model),
                encoder_parameters=encoder_parameters(model),
                macs=macs(model, single),
                bytes_on_disk=_bytes(model, folder),
                latency_ms_batch1=timings[role].latency_ms_batch1,
                throughput_batch32=timings[role].throughput_batch32,
                path=os.path.relpath(folder, run.directory.root) if folder and role != "teacher" else None,
            )
        )
    device = run.bench.args.device
    return ResultsRecord(
        scheduler=schedule.record.scheduler,
        metric=run.bench.metric,
        split=prepared.splits.report_name,
        examples=len(prepared.splits.report),
        sequence_length=batch["input_ids"].shape[1],
        rows=[*rows, *run.rows],
        versions=prepared.config.versions or {},
        seed=prepared.config.seed,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads(),
    )


def _models(run: Run) -> dict[str, tuple[float, PreTrainedModel, Path | None]]:
    """Role to scale, model and folder."""
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
    return models


def typical_batch(dataset: Dataset, tokenizer: Any) -> Mapping[str, torch.Tensor]:
    """A batch of examples around the median length, repeated where the split is small."""
    from transformers import DataCollatorWithPadding

    plain = dataset.remove_columns([name for name in dataset.column_names if name not in tokenizer.model_input_names])
    lengths = [len(ids) for ids in plain["input_ids"]]
    by_length = sorted(range(len(plain)), key=lengths.__getitem__)
    start = max(0, len(by_length) // 2 - BATCH // 2)
    middle = by_length[start : start + BATCH]
    rows = [plain[middle[index % len(middle)]] for index in range(BATCH)]
    return dict(DataCollatorWithPadding(tokenizer)(rows))


def _bytes(model: PreTrainedModel, folder: Path | None) -> int:
    if folder is not None:
        return bytes_on_disk(folder)
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
