"""`engine.compile`: whether a training stage records its passes, and why not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

from minidisc_plugin.training.dropout import drops_out
from minidisc_plugin.training.recorded_passes import RecordedPasses

if TYPE_CHECKING:
    from transformers import TrainingArguments

logger = logging.getLogger(__name__)

Wanted = Literal["auto"] | bool

LENGTHS = 32
"""Batches are padded to a multiple of so many tokens where passes are recorded, so that few shapes exist."""

# Recording the passes of a scale for one length takes as long as a few steps; there are four lengths up to 128 tokens.
_STEPS_A_SCALE = 16


def passes_of(trainer: Any, wanted: Wanted, scales: int) -> RecordedPasses | None:
    """Recorded passes for a stage, or None; the log says why where they were asked for.

    Args:
        trainer: A DistillationTrainer that has begun to train.
        wanted: The setting.
        scales: How many slices of its model are trained.
    """
    if wanted is False:
        return None
    why_not = _why_not(trainer)
    if why_not is None and wanted == "auto" and trainer.state.max_steps < _STEPS_A_SCALE * scales:
        why_not = f"{trainer.state.max_steps} steps are over before it pays"
    if why_not is None:
        return RecordedPasses()
    logger.log(logging.WARNING if wanted is True else logging.DEBUG, "engine.compile: nothing is recorded: %s", why_not)
    return None


def pads_for_recordings(wanted: Wanted | None, args: TrainingArguments) -> bool:
    """Whether batches are padded to a multiple of LENGTHS."""
    return wanted in (True, "auto") and args.device.type == "cuda" and args.world_size == 1


def _why_not(trainer: Any) -> str | None:
    args = trainer.args
    checkpointing = getattr(args, "gradient_checkpointing", False) or getattr(args, "activation_checkpointing", False)
    against = {
        "CUDA graphs need a CUDA device": args.device.type != "cuda",
        "several processes exchange gradients in between": args.world_size > 1 or args.n_gpu > 1,
        "engine.tokens_per_batch makes batches of many shapes": trainer.tokens_per_batch is not None,
        "activations are checkpointed": checkpointing,
        "noise is added to embeddings": bool(args.neftune_noise_alpha),
        "dropout draws anew in every pass": drops_out(trainer.model),
        "the objective learns or differentiates beside the passes": trainer.objective.learns_beside(),
    }
    return next((reason for reason, holds in against.items() if holds), None)
