"""A cache of the teacher's outputs that is asked for, where there can be none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidisc_plugin.foundation.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minidisc_plugin.contracts.config import CompressionConfig
    from minidisc_plugin.contracts.task import Task


def check_kept_outputs(config: CompressionConfig, teacher: PreTrainedModel, task: Task) -> None:
    """Refuse a cache that could not be made once training has begun.

    Raises:
        ConfigError: the teacher's outputs are of a form that is not kept.
    """
    from minidisc_plugin.training.teacher_examples import unkept

    if config.engine.teacher_cache is True and (why := unkept(teacher, task)):
        raise ConfigError(f"engine.teacher_cache: true: {why}; remove it, or set it to false")
