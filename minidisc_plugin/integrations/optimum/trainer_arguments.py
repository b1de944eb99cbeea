"""An `inc_config.json` as arguments of `ScheduledINCTrainer`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_compressor import QuantizationAwareTrainingConfig
from neural_compressor.config import DistillationConfig, KnowledgeDistillationLossConfig, WeightPruningConfig
from optimum.intel import INCConfig

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.integrations.inc_config import sparsity_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def trainer_arguments(
    directory: str | os.PathLike[str], teacher_model: PreTrainedModel | None = None, trust_remote_code: bool = False
) -> dict[str, Any]:
    """What an `inc_config.json` says, as keyword arguments of `ScheduledINCTrainer`.

    Args:
        directory: The folder that holds the file.
        teacher_model: The teacher; loaded from where the file says when left out.
        trust_remote_code: Run code that comes with that teacher.

    Returns:
        `scheduler` and `scheduler_config`, where the file has them, and `pruning_config`, `distillation_config` and
        `quantization_config` where it holds their settings. Steps of INC's schedules are not in the file.

    Raises:
        ConfigError: there is no such file, or it is broken.
    """
    file = Path(directory) / INCConfig.CONFIG_NAME
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    arguments = {key: data[key] for key in ("scheduler", "scheduler_config") if data.get(key)}
    if pruning := data.get("pruning"):
        arguments["pruning_config"] = WeightPruningConfig(
            # The default is one list that all configs share and change.
            pruning_configs=[{}],
            pruning_type=pruning["approach"],
            pattern=pruning["pattern"],
            target_sparsity=sparsity_of(pruning),
        )
    if distillation := data.get("distillation"):
        from minidisc_plugin.nested.teacher import read_teacher
        from minidisc_plugin.plugins import families

        name = distillation["teacher_model_name_or_path"]
        teacher = teacher_model or read_teacher(name, trust_remote_code, families=families())[0]
        criterion = KnowledgeDistillationLossConfig(temperature=distillation["temperature"])
        arguments["distillation_config"] = DistillationConfig(teacher_model=teacher, criterion=criterion)
    quantization = data.get("quantization") or {}
    # A calibrated post-training quantization has its number of samples; quantization-aware training has none.
    if quantization.get("is_static") and not quantization.get("dataset_num_samples"):
        arguments["quantization_config"] = QuantizationAwareTrainingConfig()
    return arguments
