"""`engine.half_precision`: bf16 autocast where it pays."""

from __future__ import annotations

import torch

from minidisc_plugin.contracts.config import CompressionConfig

_KEYS = ("bf16", "fp16")


def with_precision(config: CompressionConfig) -> CompressionConfig:
    """The config with `training.bf16` as the engine decides; what the user set stays.

    `auto` means GPUs that compute in bf16. On CPUs autocast made training slower, with AMX (measured on one) and
    without it (docs/performance.md), so there it has to be asked for.
    """
    wanted = config.engine.half_precision
    if any(key in config.training for key in _KEYS):
        return config
    if wanted == "auto":
        wanted = torch.cuda.is_available() and torch.cuda.is_bf16_supported() and not config.training.get("use_cpu")
    if not wanted:
        return config
    # Without an accelerator, transformers takes bf16 only where it is told to stay on the CPU.
    chosen = {} if torch.accelerator.is_available() else {"use_cpu": True}
    return config.model_copy(update={"training": {**chosen, **config.training, "bf16": True}})
