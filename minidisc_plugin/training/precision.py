"""`engine.half_precision`: bf16 autocast where it pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from minidisc_plugin.contracts.config import CompressionConfig
from minidisc_plugin.foundation.processes import process_count

_KEYS = ("bf16", "fp16")


def with_precision(config: CompressionConfig) -> CompressionConfig:
    """The config with `training.bf16` as the engine decides; what the user set stays, as does what is to be measured.

    `auto` means bf16 on several GPUs, and fp32 in several processes without one.
    """
    wanted = config.engine.half_precision
    if _asked(config) or is_measured(config):
        return config
    if not (_gpu_has_bf16(config) if wanted == "auto" else wanted):
        return config
    return config.model_copy(update={"training": with_bf16(config.training)})


def with_bf16(training: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a training that computes in bf16."""
    # Without an accelerator, transformers takes bf16 only where it is told to stay on the CPU.
    chosen = {} if torch.accelerator.is_available() else {"use_cpu": True}
    return {**chosen, **training, "bf16": True}


def is_measured(config: CompressionConfig) -> bool:
    """Whether a few steps may decide: `auto`, one process on what computes in bf16, and no wish of the user's."""
    if config.engine.half_precision != "auto" or _asked(config) or process_count() > 1:
        return False
    on_cpu = not torch.accelerator.is_available() or config.training.get("use_cpu")
    return cpu_has_bf16() if on_cpu else _gpu_has_bf16(config)


def cpu_has_bf16() -> bool:
    """Whether the processor has instructions for bf16: AVX-512 BF16, AMX, those of Arm."""
    # Older releases of torch do not tell.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(has for name, has in capabilities.items() if "bf16" in name)


def _asked(config: CompressionConfig) -> bool:
    return any(key in config.training for key in _KEYS)


def _gpu_has_bf16(config: CompressionConfig) -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported() and not config.training.get("use_cpu")
