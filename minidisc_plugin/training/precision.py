"""`engine.half_precision`: bf16 autocast where it pays."""

from __future__ import annotations

import torch

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.processes import process_count

_KEYS = ("bf16", "fp16")


def with_precision(config: CompressionConfig) -> CompressionConfig:
    """The config with `training.bf16` as the engine decides; what the user set stays, as does what is to be measured.

    `auto` means bf16 on several GPUs. On CPUs autocast made training slower, with AMX (measured on one) and without it
    (docs/performance.md), so there it has to be asked for.
    """
    wanted = config.engine.half_precision
    if any(key in config.training for key in _KEYS) or is_measured(config):
        return config
    if not (_has_bf16(config) if wanted == "auto" else wanted):
        return config
    # Without an accelerator, transformers takes bf16 only where it is told to stay on the CPU.
    chosen = {} if torch.accelerator.is_available() else {"use_cpu": True}
    return config.model_copy(update={"training": {**chosen, **config.training, "bf16": True}})


def is_measured(config: CompressionConfig) -> bool:
    """Whether a few steps decide: `auto`, one process with a GPU that computes in bf16, and no wish of the user's."""
    asked = any(key in config.training for key in _KEYS)
    return config.engine.half_precision == "auto" and not asked and process_count() == 1 and _has_bf16(config)


def _has_bf16(config: CompressionConfig) -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported() and not config.training.get("use_cpu")
