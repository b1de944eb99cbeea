"""Further texts without labels: settings beside which they cannot be trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.foundation.errors import ConfigError
from minidisc_plugin.plugins import pick
from minidisc_plugin.plugins.guarded import make_objective

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.run import Splits
    from minidisc_plugin.contracts.task import Task


def check_further(config: CompressionConfig, splits: Splits, task: Task, model_config: PretrainedConfig) -> None:
    """Refuse further texts beside an objective that reads labels, or batches whose number differs with what is drawn.

    Args:
        config: As read.
        splits: Tokenised.
        task: Of the run.
        model_config: The teacher's.

    Raises:
        ConfigError: names the key that asks for them, and what to change.
    """
    name = config.distillation.objective
    registered = pick("objective", name, "distillation.objective")
    regression = task.regression(model_config)
    reads_labels = make_objective(registered, config.distillation, regression=regression).reads_labels
    remedy = "set distillation.loss_weights: [0.0, 1.0], or " if name == "knowledge_distillation" else ""
    if reads_labels and not task.labels_train:
        raise ConfigError(
            f"distillation.objective: {name!r} compares students with labels, and examples of {task.said} have none; "
            f"{remedy}set distillation.objective: minidisc"
        )
    if splits.further is None:
        return
    key = f"distillation.augment: {config.distillation.augment}"
    if splits.unlabelled is not None:
        key = f"dataset.unlabelled_split: {config.dataset.unlabelled_split or 'unlabelled'}"
    if config.engine.tokens_per_batch is not None:
        raise ConfigError(
            f"{key} is drawn from anew in each epoch, and engine.tokens_per_batch would make each of another number of "
            "steps; remove one of them"
        )
    if reads_labels:
        raise ConfigError(
            f"{key} gives examples without labels, and the objective {name!r} compares students with labels; {remedy}"
            "set distillation.objective: minidisc, or remove the key"
        )
