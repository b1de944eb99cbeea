"""A tiny INCTrainer script's parts: teacher, data, arguments, configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neural_compressor.config import DistillationConfig, KnowledgeDistillationLossConfig, WeightPruningConfig
from transformers import AutoTokenizer, PreTrainedModel

from minidisc_plugin.metrics import build_compute_metrics
from tests.builders.script import arguments, examples, teacher_of

SETTINGS = {"target_sparsity": 0.8, "candidates": [0.6, 0.4]}


def script(files: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of INCTrainer, all but the compression configs."""
    return {
        "model": teacher_of(files),
        "args": arguments(folder, **changes),
        "train_dataset": examples(files),
        "eval_dataset": examples(files, seed=2, count=48),
        "processing_class": AutoTokenizer.from_pretrained(files / "teacher"),
        "compute_metrics": build_compute_metrics("accuracy", False),
    }


def distillation(teacher: PreTrainedModel | None, temperature: float = 2.0) -> DistillationConfig:
    """Half the labels, half the teacher."""
    criterion = KnowledgeDistillationLossConfig(temperature, ["CE", "CE"], [0.5, 0.5])
    return DistillationConfig(teacher_model=teacher, criterion=criterion)


def pruning(sparsity: float = 0.5, **settings: Any) -> WeightPruningConfig:
    """Magnitude pruning within the first steps; the default list of configs is shared by all, so one is given."""
    chosen = {"pruning_type": "magnitude", "pattern": "1x1", "start_step": 1, "end_step": 3, **settings}
    return WeightPruningConfig(pruning_configs=[{}], target_sparsity=sparsity, **chosen)
