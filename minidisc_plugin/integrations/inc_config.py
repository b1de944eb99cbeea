"""`inc_config.json` of Optimum Intel as a compression config: plain data in, plain data out, no host imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MARKS = {"neural_compressor_version", "optimum_version"}
# Written by every config of Optimum, and of no use here.
_UNUSED = {*_MARKS, "torch_version", "transformers_version", "output_attentions", "dtype", "model_type"}


def is_inc_config(data: Mapping[str, Any]) -> bool:
    """Whether a JSON file was written by `INCConfig.save_pretrained`."""
    return data.keys() >= _MARKS


def from_inc_config(data: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a compression config that an `inc_config.json` holds; all others are taken as they are.

    `distillation.teacher_model_name_or_path` is the model, `pruning.sparsity` the student's sparsity, and
    `quantization` the step of that name.
    """
    config: dict[str, Any] = {key: value for key, value in data.items() if key not in _UNUSED}
    distillation = dict(config.pop("distillation", None) or {})
    teacher = distillation.pop("teacher_model_name_or_path", None)
    if teacher:
        config.setdefault("model", teacher)
    if distillation:
        config["distillation"] = distillation
    pruning = config.pop("pruning", None)
    if pruning:
        config["pruning"] = {"target_sparsity": sparsity_of(pruning)} if "sparsity" in pruning else pruning
    scheduler_config = dict(config.get("scheduler_config") or {})
    if "target_sparsity" in scheduler_config:  # the student's; the other may be what was measured over all weights
        config["pruning"] = {"target_sparsity": scheduler_config.pop("target_sparsity")}
        config["scheduler_config"] = scheduler_config
    quantization = config.pop("quantization", None)
    if quantization:
        config["quantization"] = _quantization(quantization)
        config["steps"] = [*config.get("steps", []), "quantization"]
    return config


def sparsity_of(pruning: Mapping[str, Any]) -> float:
    """The sparsity that a file holds: a share as configured, or per cent as `INCTrainer` measured it."""
    sparsity = float(pruning["sparsity"])
    return sparsity / 100 if sparsity > 1 else sparsity


def _quantization(settings: Mapping[str, Any]) -> dict[str, Any]:
    if "is_static" not in settings:
        return dict(settings)
    found: dict[str, Any] = {"schemes": ["inc_static" if settings["is_static"] else "inc_dynamic"]}
    if settings.get("dataset_num_samples"):
        found["calibration_examples"] = settings["dataset_num_samples"]
    return found
